package store

import (
	"os"
	"path/filepath"
)

// CheckPath returns a [*FolderError] if path is a folder. Commands call it
// before they wait for anything else. [Open] reports all other faults.
func CheckPath(path string) error {
	if file, err := os.Stat(path); err == nil && file.IsDir() {
		return &FolderError{path}
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
