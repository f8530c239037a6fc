package store

// Reading: for verify and for people, beside a running writer. A reader never
// makes a database and never changes one.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// An AbsentError says that there is no database at a path.
type AbsentError struct{ Path string }

func (e *AbsentError) Error() string { return "store: there is no database " + e.Path }

// Hint says what to do about it.
func (e *AbsentError) Hint() string {
	return "a consumer makes it: consumer load FILE; or name another: --db FILE"
}

// readerWait is how long a reader waits for a lock, which only recovery takes.
const readerWait = 5 * time.Second

// A Reader is a database open for reading. It is for one goroutine.
type Reader struct {
	path  string
	db    *sql.DB
	table *table
}

// OpenReader opens a database for reading. It returns an [*AbsentError] or a
// [*ForeignError] where there is none of ours.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, &AbsentError{path}
	} else if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	r := &Reader{path: path, table: &table{}}
	db, err := connect(dsn(path, "ro", readerWait), r.table)
	if err != nil {
		return nil, err
	}
	r.db = db
	empty, err := recognise(ctx, db, path)
	if interrupted(err) {
		if err = rollBack(ctx, path, readerWait); err == nil {
			empty, err = recognise(ctx, db, path)
		}
	}
	if err == nil && empty {
		err = foreign(path, "is empty")
	}
	if err != nil {
		return nil, errors.Join(notOurs(path, err), db.Close())
	}
	return r, nil
}

// Close closes the database.
func (r *Reader) Close() error { return r.db.Close() }
