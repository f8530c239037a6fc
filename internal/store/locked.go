package store

// Whether anyone writes to a database, asked from outside.

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// Locked says whether some process has the right to write to the database at
// path. It makes nothing that is not there.
func Locked(path string) (bool, error) {
	file := resolve(path) + ".lock"
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	l := flock.New(file, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err = errors.Join(err, l.Unlock()); err != nil {
		return false, fmt.Errorf("store: lock %s: %w", file, err)
	}
	return !free, nil
}
