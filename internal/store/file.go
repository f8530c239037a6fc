package store

import (
	"os"
	"path/filepath"
)

// CheckPath returns a [*FolderError] for a path where no database can be. It
// is for those who have to wait before they open one.
func CheckPath(path string) error {
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		return &FolderError{path}
	}
	return nil // whatever else is wrong, whoever opens it says
}

// resolve follows a symbolic link, as SQLite does: lock and WAL are beside the
// file itself, or two names of it would be two locks.
func resolve(path string) string {
	if file, err := os.Lstat(path); err != nil || file.Mode()&os.ModeSymlink == 0 {
		return path // not there yet, or itself; whoever opens it says what else is wrong
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}
