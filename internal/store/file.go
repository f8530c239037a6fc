package store

import (
	"io/fs"
	"os"
	"path/filepath"

	"turnstile/internal/locks"
)

var networkFileSystem = locks.NetworkFileSystem // a variable for tests

// CheckPath returns a [*FolderError] or a [*SpecialFileError] if no database
// can be at path. Commands call it before they wait for anything else. [Open]
// reports all other faults.
func CheckPath(path string) error {
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
