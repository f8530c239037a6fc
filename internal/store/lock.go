package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockEvery is how often a standby tries to take the lock. It bounds the time
// of a takeover.
const lockEvery = 5 * time.Millisecond

// A WriterLock makes its process the one writer of a database. It locks a file
// beside the database, never the database itself: closing a second descriptor
// of the database would drop SQLite's own POSIX locks.
//
// The system releases the lock when the process ends, in whatever way. Keep a
// reference to the lock: one that is garbage collected is released.
type WriterLock struct{ file *flock.Flock }

// Lock takes the writer's lock of the database at path. While another process
// holds it, Lock waits until that process releases it or ends, or until ctx
// ends. Lock calls waiting once if it has to wait.
func Lock(ctx context.Context, path string, waiting func()) (*WriterLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	path = resolveLink(path)
	l := &WriterLock{flock.New(path+".lock", flock.SetPermissions(0o644))}
	locked, err := l.file.TryLock()
	if err == nil && !locked {
		waiting()
		locked, err = l.file.TryLockContext(ctx, lockEvery)
	}
	if err == nil && !locked {
		err = errors.New("another process holds it")
	}
	if err != nil {
		return nil, fmt.Errorf("store: lock %s.lock: %w", path, err)
	}
	return l, nil
}

// Unlock releases the lock. The file stays: if it were removed, two processes
// could hold locks on two files of that name.
func (l *WriterLock) Unlock() error { return l.file.Unlock() }

// HasWriter reports whether a process holds the writer's lock of the database
// at path. It creates no file.
func HasWriter(path string) (bool, error) {
	file := resolveLink(path) + ".lock"
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
