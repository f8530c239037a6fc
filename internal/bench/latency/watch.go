package main

// The watching side: a reader of the database, as anyone's could be.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"
)

type watcher struct {
	db     *sql.DB
	last   *sql.Stmt
	source string
}

// watchDatabase opens the database as soon as the consumer has made it.
func watchDatabase(ctx context.Context, path, source string) (*watcher, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: url.Values{
		"mode": {"ro"}, "_pragma": {"busy_timeout(1000)"},
	}.Encode()}
	for {
		w, err := open(ctx, dsn.String(), path)
		if err == nil {
			w.source = source
			return w, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("open the consumer's database: %w", errors.Join(err, ctx.Err()))
		}
	}
}

func open(ctx context.Context, dsn, path string) (*watcher, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	// Rows of one publisher are stored in the order of their lines, so the
	// last line tells which are there. That none is missing is counted later.
	last, err := db.PrepareContext(ctx, "SELECT ifnull(max(id) & 0xffffffff, 0) FROM ride WHERE id > (SELECT ifnull(max(id), 0) FROM source WHERE name = ?) << 32")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &watcher{db: db, last: last}, nil
}

func (w *watcher) close() error { return errors.Join(w.last.Close(), w.db.Close()) }

// stuckAfter is how long no new row may come before the measurement fails.
const stuckAfter = 30 * time.Second

// watch says when it first saw each row.
func (w *watcher) watch(ctx context.Context, n int, every time.Duration) ([]time.Time, error) {
	visible := make([]time.Time, 0, n)
	tick := time.NewTicker(every)
	defer tick.Stop()
	fresh := time.Now()
	for len(visible) < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var line int
		if err := w.last.QueryRowContext(ctx, w.source).Scan(&line); err != nil {
			return nil, fmt.Errorf("look into the database: %w", err)
		}
		now := time.Now()
		if line-1 > len(visible) {
			fresh = now
		}
		for len(visible) < min(line-1, n) { // row i stands on line i+2
			visible = append(visible, now)
		}
		if now.Sub(fresh) > stuckAfter {
			return nil, fmt.Errorf("%d of %d rows are visible, and no more since %s", len(visible), n, stuckAfter)
		}
	}
	return visible, nil
}
