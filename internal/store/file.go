package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"turnstile/internal/locks"
)

var networkFileSystem = locks.NetworkFileSystem // a variable for tests

// Check returns the error of [Open] for a path that no database of turnstile can have.
// It creates nothing, and needs no [WriterLock]. Commands call it before they wait for
// anything else. A database that is locked right now is no error.
func Check(ctx context.Context, path string) error {
	if err := check(ctx, resolveLink(path), 0); !IsTransient(err) {
		return err
	}
	return nil
}

// check returns an error unless a database of turnstile is or can be at path.
func check(ctx context.Context, path string, busyTimeout time.Duration) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if err := checkLength(path + "-journal"); err != nil { // no name beside the database is longer
		return err
	}
	if err := checkOneName(path); err != nil {
		return err
	}
	if name, certain := networkFileSystem(filepath.Dir(path)); certain {
		return &NetworkError{path, name}
	}
	_, err := inspect(ctx, path, busyTimeout)
	return err
}

// checkPath returns a [*FolderError] or a [*SpecialFileError] if no database can be at
// path.
func checkPath(path string) error {
	if _, name := filepath.Split(path); name == "" || name == "." || name == ".." {
		return &FolderError{filepath.Clean(path)}
	}
	file, err := os.Stat(path)
	switch {
	case err != nil:
		return nil
	case file.IsDir():
		return &FolderError{path}
	case !file.Mode().IsRegular():
		return &SpecialFileError{path, kindOf(file.Mode())}
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// checkLength returns an error if a name in path is too long for the file system. While a
// folder is missing, the system does not look at the names below it: each is tried in the
// nearest folder that exists.
func checkLength(path string) error {
	names, folder := []string{filepath.Base(path)}, filepath.Dir(path)
	for {
		_, err := os.Stat(folder)
		if !errors.Is(err, fs.ErrNotExist) || folder == filepath.Dir(folder) {
			break
		}
		names, folder = append(names, filepath.Base(folder)), filepath.Dir(folder)
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(folder, name)); errors.Is(err, syscall.ENAMETOOLONG) {
			return &fs.PathError{Op: "create", Path: path, Err: syscall.ENAMETOOLONG}
		}
	}
	return nil
}

// checkOneName returns an error if the database may have another name. The
// lock file, the WAL and its index stand beside the name, so that two names
// would have two writers: rows of one are lost, or the file is damaged.
func checkOneName(path string) error {
	links, mounted, err := namesOf(path)
	switch {
	case err != nil || links == 0: // not there yet, or unknown
		return nil
	case links > 1:
		return &LinkedError{path, links}
	case mounted:
		return &MountedError{path}
	}
	return nil
}

// resolveLink follows a symbolic link, as SQLite does. The lock file and the
// WAL stand beside the file itself: otherwise each name of the database would
// have a lock of its own.
func resolveLink(path string) string {
	if file, err := os.Lstat(path); err != nil || file.Mode()&os.ModeSymlink == 0 {
		return path
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}
