package main

// The right to write: one process a database.

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"turnstile/internal/store"
)

// A writer is an open database and the lock that makes it ours alone.
type writer struct {
	*store.DB
	lock   *store.WriterLock
	waited bool      // another writer was there first
	since  time.Time // when the lock became ours
}

// openWriter takes the writer's lock, waiting for as long as another process
// has it, and then opens the database. In this order: who opens the database
// without the lock could write beside the other.
func openWriter(ctx context.Context, path string, log *slog.Logger) (*writer, error) {
	w := &writer{}
	lock, err := store.Lock(ctx, path, func() {
		w.waited = true
		log.Info("another process writes to this database; standing by", "db", path)
	})
	if err != nil {
		return nil, err
	}
	w.lock, w.since = lock, time.Now()
	if w.DB, err = store.Open(ctx, path, store.Options{Log: log}); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return w, nil
}

// Close closes the database and then gives up the lock: the next writer must
// not open it before.
func (w *writer) Close() error { return errors.Join(w.DB.Close(), w.lock.Unlock()) }
