package store

// The right to write: a lock on a file beside the database. Never on the
// database itself, where closing it would drop SQLite's own locks.

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

// Unlock gives the right up. The file stays: removing it would let two
// processes hold locks on two files of that name.
func (l *WriterLock) Unlock() error { return l.file.Unlock() }
