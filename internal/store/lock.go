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

const (
	lockEvery    = 100 * time.Millisecond // how often a standby tries to take the lock
	reportEvery  = time.Second            // how often Lock calls waiting
	lockEveryNew = 10 * time.Millisecond  // as lockEvery, before it is a standby
)

// standbyAfter is how long Lock tries before it calls itself a standby.
// HasWriter takes the lock for a moment and is no writer. Tests shorten it.
var standbyAfter = time.Second

// A WriterLock makes its process the one writer of a database. It locks a file
// beside the database, never the database itself: closing a second descriptor
// of the database would drop SQLite's own POSIX locks.
//
// The system releases the lock when the process ends, in whatever way. Keep a
// reference to the lock: one that is garbage collected is released.
type WriterLock struct{ file *flock.Flock }

// A Holder is the process that holds a writer's lock, as it wrote it to the
// lock file. It is zero if the file cannot be read.
type Holder struct {
	Host  string
	PID   int // in its own PID namespace
	Since time.Time
}

// Lock takes the writer's lock of the database at path. While another process
// holds it, Lock waits until that process releases it or ends, or until ctx
// ends. After a second Lock calls waiting, and again every second.
func Lock(ctx context.Context, path string, waiting func(Holder)) (*WriterLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file := resolveLink(path) + ".lock"
	l := &WriterLock{flock.New(file, flock.SetPermissions(0o644))}
	if err := l.wait(ctx, waiting); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	l.sign()
	return l, nil
}

func (l *WriterLock) wait(ctx context.Context, waiting func(Holder)) error {
	every, report := lockEveryNew, time.Now().Add(standbyAfter)
	for {
		locked, err := l.file.TryLock()
		if err != nil || locked {
			return err
		}
		if now := time.Now(); !now.Before(report) {
			waiting(readHolder(l.file.Path()))
			every, report = lockEvery, now.Add(reportEvery)
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sign writes the holder to the lock file. It is for people only, and a failure
// is no reason not to write.
func (l *WriterLock) sign() {
	host, err := os.Hostname()
	if err != nil {
		return
	}
	text := fmt.Sprintf("%s %d %s\n", host, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	_ = os.WriteFile(l.file.Path(), []byte(text), 0o644) // see above
}

func readHolder(file string) (h Holder) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Holder{}
	}
	var since string
	if _, err := fmt.Sscan(string(text), &h.Host, &h.PID, &since); err != nil {
		return Holder{}
	}
	if h.Since, err = time.Parse(time.RFC3339, since); err != nil {
		return Holder{}
	}
	return h
}

// Unlock releases the lock. The file stays: if it were removed, two processes
// could hold locks on two files of that name.
func (l *WriterLock) Unlock() error { return l.file.Unlock() }

// HasWriter reports whether a process holds the writer's lock of the database
// at path, and which. It creates no file.
func HasWriter(path string) (bool, Holder, error) {
	file := resolveLink(path) + ".lock"
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return false, Holder{}, nil
	}
	l := flock.New(file, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err = errors.Join(err, l.Unlock()); err != nil {
		return false, Holder{}, fmt.Errorf("lock %s: %w", file, err)
	}
	if free {
		return false, Holder{}, nil
	}
	return true, readHolder(file), nil
}
