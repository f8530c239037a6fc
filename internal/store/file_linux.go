package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// statOpenFile returns the file of a path that this process has open, even if
// another file or none is at the path. It does not open the file: closing a
// second descriptor would drop SQLite's locks.
func statOpenFile(path string) (os.FileInfo, error) {
	const folder = "/proc/self/fd"
	descriptors, err := os.ReadDir(folder)
	if err != nil { // no /proc
		return os.Stat(path)
	}
	for _, d := range descriptors {
		link := filepath.Join(folder, d.Name())
		target, err := os.Readlink(link)
		if err == nil && strings.TrimSuffix(target, " (deleted)") == path {
			return os.Stat(link)
		}
	}
	return os.Stat(path)
}

// deniedFile returns the first file of a database, its -wal and its -shm included, that
// this process may not read, or with write not change; else "". It opens none.
func deniedFile(path string, write bool) string {
	mode := uint32(unix.R_OK)
	if write {
		mode |= unix.W_OK
	}
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if errors.Is(unix.Access(file, mode), unix.EACCES) {
			return file
		}
	}
	return ""
}

// onReadOnlyDisk reports whether the file system of a file can't be written to.
func onReadOnlyDisk(path string) bool { return errors.Is(unix.Access(path, unix.W_OK), unix.EROFS) }

// namesOf returns the number of hard links of a file, and whether the file
// itself, not its folder, is mounted at its path. It does not open the file.
func namesOf(path string) (links int, mounted bool, err error) {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_NLINK, &stat); err != nil {
		return 0, false, fmt.Errorf("store: statx %s: %w", path, err)
	}
	return int(stat.Nlink), stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}
