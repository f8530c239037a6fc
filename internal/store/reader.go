package store

// Reading: for verify and for people, beside a running writer. A reader never
// makes a database and never changes one.
// The rejects and the data sets, listed for people.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"turnstile/internal/mta"
)

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

// A Reject is a record that could not be stored.
type Reject struct {
	Source     string
	Columns    string // the header record of the source; "" if it has none
	Line       int64
	Column     string // at fault; "": the record as a whole
	Reason     string
	Record     []byte // as it came
	RejectedAt string // UTC, YYYY-MM-DD HH:MM:SS
}

// Rejects hands out the rejects of a source, or with "" all of them, by source
// and line.
func (r *Reader) Rejects(ctx context.Context, source string, each func(Reject) error) (err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT s.name, s.columns, x.line, x."column", x.reason, x.record, x.rejected_at
		FROM reject x JOIN source s ON s.id = x.source
		WHERE ?1 = '' OR s.name = ?1 ORDER BY x.source, x.line, x.id`, source)
	if err != nil {
		return fmt.Errorf("store: read the rejects: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var x Reject
		if err := rows.Scan(&x.Source, &x.Columns, &x.Line, &x.Column, &x.Reason, &x.Record, &x.RejectedAt); err != nil {
			return fmt.Errorf("store: read the rejects: %w", err)
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return rows.Err()
}

// A Source is a data set, and how much of it there is.
type Source struct {
	Name      string
	Columns   string // the header record it came with first; "" if it has none
	FirstSeen string // UTC, YYYY-MM-DD HH:MM:SS
	Rows      int64
	Rejects   int64
	FirstLine int64 // of the rows; 0 if there are none
	LastLine  int64
	FirstTime string // the earliest transit_timestamp; "" if there are no rows
	LastTime  string
}

// Sources lists the data sets, in the order they were first seen. It counts
// every row.
func (r *Reader) Sources(ctx context.Context) (list []Source, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT name, columns, first_seen,
			(SELECT count(*) FROM reject WHERE reject.source = source.id), count(ride.id),
			ifnull(min(ride.id) & 0xffffffff, 0), ifnull(max(ride.id) & 0xffffffff, 0), min(transit_at), max(transit_at)
		FROM source LEFT JOIN ride ON ride.id BETWEEN source.id << 32 AND source.id << 32 | 0xffffffff
		GROUP BY source.id ORDER BY source.id`)
	if err != nil {
		return nil, fmt.Errorf("store: list the sources: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s Source
		var first, last sql.NullInt64
		if err := rows.Scan(&s.Name, &s.Columns, &s.FirstSeen, &s.Rejects, &s.Rows, &s.FirstLine, &s.LastLine, &first, &last); err != nil {
			return nil, fmt.Errorf("store: list the sources: %w", err)
		}
		if first.Valid {
			s.FirstTime, s.LastTime = mta.FormatTime(first.Int64), mta.FormatTime(last.Int64)
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
