package store

// The right to write: a lock on a file beside the database. Never on the
// database itself, where closing it would drop SQLite's own locks.
// Whether anyone writes to a database, asked from outside.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockEvery is how often a standby asks for the lock. It bounds the time in
// which it takes over.
const lockEvery = 5 * time.Millisecond

// A WriterLock is the right to write to a database. The system gives it up
// when its process ends, however it ends. It must be kept referenced: a lock
// that is garbage collected is gone.
type WriterLock struct{ file *flock.Flock }

// Lock takes the right to write to the database at path, waiting until whoever
// has it gives it up or dies, or ctx ends. waiting is called once, if it has
// to wait.
func Lock(ctx context.Context, path string, waiting func()) (*WriterLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	path = resolve(path)
	l := &WriterLock{flock.New(path+".lock", flock.SetPermissions(0o644))}
	got, err := l.file.TryLock()
	if err == nil && !got {
		waiting()
		got, err = l.file.TryLockContext(ctx, lockEvery)
	}
	if err == nil && !got {
		err = errors.New("another process has it")
	}
	if err != nil {
		return nil, fmt.Errorf("store: lock %s.lock: %w", path, err)
	}
	return l, nil
}

// Unlock gives the right up. The file stays: removing it would let two
// processes hold locks on two files of that name.
func (l *WriterLock) Unlock() error { return l.file.Unlock() }

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
