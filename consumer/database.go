package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/store"
)

// A writer is an open database with its writer's lock.
type writer struct {
	*store.DB
	lock   *store.WriterLock
	waited bool      // another process held the lock
	since  time.Time // when this process took the lock
}

// busyTimeout is how long SQLite retries while the database is locked. Tests
// shorten it.
var busyTimeout = 5 * time.Second

// openRetryEvery is the pause between two attempts to open a locked database.
const openRetryEvery = 250 * time.Millisecond

// openWriter takes the writer's lock, waiting while another process holds it,
// and then opens the database. Without the lock, opening the database would
// allow a second writer. While another program locks the database, openWriter
// retries, as a writer does that has it open. waiting is called every second while
// it waits, and failed after each attempt.
func openWriter(ctx context.Context, path string, log *slog.Logger, waiting func(store.Holder), failed func(error)) (*writer, error) {
	standby := &standbyLog{log: log, path: path}
	return openLocked(ctx, path, log, standby, failed, func() (*store.WriterLock, error) {
		return store.Lock(ctx, path, func(h store.Holder) {
			standby.waiting(h)
			waiting(h)
		})
	})
}

// openWriterNow is openWriter, but returns a [*busyError] if another process holds
// the writer's lock for over a second.
func openWriterNow(ctx context.Context, path string, log *slog.Logger) (*writer, error) {
	return openLocked(ctx, path, log, &standbyLog{}, func(error) {}, func() (*store.WriterLock, error) {
		waiting, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		lock, err := store.Lock(waiting, path, func(h store.Holder) { cancel(&busyError{path, h}) })
		if busy, ok := errors.AsType[*busyError](context.Cause(waiting)); ok {
			err = busy
		}
		return lock, err
	})
}

// A busyError reports that another process writes to the database.
type busyError struct {
	path   string
	holder store.Holder
}

func (e *busyError) Error() string {
	return fmt.Sprintf("%s writes to %s, since %s", holderName(e.holder), e.path, e.holder.Since.Local().Format(time.DateTime))
}

func openLocked(ctx context.Context, path string, log *slog.Logger, standby *standbyLog, failed func(error), take func() (*store.WriterLock, error)) (*writer, error) {
	if err := store.Check(ctx, path); err != nil {
		return nil, err
	}
	if folder := cli.NewFolder(path); folder != "" {
		log.Info("creating the folder of the database", "folder", folder)
	}
	lock, err := take()
	if err != nil {
		return nil, err
	}
	w := &writer{lock: lock, waited: standby.waits, since: time.Now()}
	options := store.Options{
		Log: log, BusyTimeout: busyTimeout,
		Warn: func(err error) { log.Warn(err.Error(), "hint", hint(err)) },
	}
	for attempt := 1; ; attempt++ {
		w.DB, err = store.Open(ctx, path, options)
		if err == nil {
			return w, nil
		}
		if !store.IsTransient(err) {
			return nil, errors.Join(err, lock.Unlock())
		}
		failed(err)
		if attempt == 1 {
			log.Warn("cannot open the database, retrying", "error", err, "hint", transientHint(path)(err))
		}
		select {
		case <-time.After(openRetryEvery):
		case <-ctx.Done():
			return nil, errors.Join(err, lock.Unlock())
		}
	}
}

// Close closes the database and then releases the lock. In the other order the
// next writer could open the database while this one still has it open.
func (w *writer) Close() error { return errors.Join(w.DB.Close(), w.lock.Unlock()) }

// A standbyLog logs which process holds the writer's lock while this one waits.
type standbyLog struct {
	log    *slog.Logger
	path   string
	waits  bool
	halted bool // logged already
}

func (s *standbyLog) waiting(h store.Holder) {
	state := holderState(h)
	if !s.waits {
		s.waits = true
		attributes := []any{"db", s.path}
		if h.PID != 0 {
			attributes = append(attributes, "writer", holderName(h), "since", h.Since.Local().Format(time.DateTime))
		}
		s.log.Info("another process writes to this database; standing by", attributes...)
	}
	if state.Halted() && !s.halted {
		s.log.Warn("the writer is stopped and keeps the lock", "writer", holderName(h), "hint", haltedHint(h))
	}
	s.halted = state.Halted()
}

// holderName names the process, and its host or container if that is another one.
func holderName(h store.Holder) string {
	switch {
	case h.PID == 0:
		return "another process" // the lock file can't be read
	case isHere(h):
		return fmt.Sprintf("process %d", h.PID)
	}
	return fmt.Sprintf("process %d on %s", h.PID, h.Host)
}

// isHere reports whether the process runs on this host, and in this container.
func isHere(h store.Holder) bool {
	host, err := os.Hostname()
	return err == nil && host == h.Host
}

// holderState returns the state of the process, or "" if it runs on another
// host or in another container.
func holderState(h store.Holder) locks.State {
	if !isHere(h) {
		return ""
	}
	return locks.Describe(h.PID).State
}

func haltedHint(h store.Holder) string {
	return fmt.Sprintf("let it continue: kill -CONT %d; or end it: kill -KILL %d", h.PID, h.PID)
}
