package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// readerWait is how long a reader waits for a lock. In WAL mode only recovery
// takes one.
const readerWait = 5 * time.Second

// A Reader is a database that is open for reading, also beside a running
// writer. It never creates or changes a database. It is for one goroutine.
type Reader struct {
	path  string
	db    *sql.DB
	table *batchTable
}

// OpenReader opens a database for reading. It returns an [*AbsentError] or a
// [*ForeignError] if there is no database of turnstile at path.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, &AbsentError{path}
	} else if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	version, err := inspect(ctx, path, readerWait)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, foreign(path, "is empty")
	}
	views, err := compatibilityViews(version)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, table: &batchTable{}}
	if r.db, err = connect(DataSource(path, "ro", readerWait), views, r.table); err != nil {
		return nil, err
	}
	return r, nil
}

// Close closes the database.
func (r *Reader) Close() error { return r.db.Close() }

// LastLine returns the last line of a source that is stored, as a ride or as a
// reject, or 0.
func (r *Reader) LastLine(ctx context.Context, source string) (line int64, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT max(
			ifnull((SELECT max(id) & 0xffffffff FROM ride WHERE id BETWEEN s.id << 32 AND s.id << 32 | 0xffffffff), 0),
			ifnull((SELECT max(max(line, last)) FROM reject WHERE source = s.id), 0))
		FROM source s WHERE s.name = ?`, source).Scan(&line)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: last line of %s: %w", source, err)
	}
	return line, nil
}

// A Reject is a record that is not stored as a ride.
type Reject struct {
	Source     string
	Columns    string // the header record of the source; "" if it has none
	Line       int64
	Last       int64  // the last line of a run of lines with equal records; Line for one record
	Column     string // at fault; "": the record as a whole
	Reason     string
	Record     []byte // as received, byte for byte
	RejectedAt string // UTC, YYYY-MM-DD HH:MM:SS
}

// Rejects calls each for the rejects of a source, by line. With source "" it
// does so for all sources.
func (r *Reader) Rejects(ctx context.Context, source string, each func(Reject) error) (err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT s.name, s.columns, x.line, x.last, x."column", x.reason, x.record, x.rejected_at
		FROM reject x JOIN source s ON s.id = x.source
		WHERE ?1 = '' OR s.name = ?1 ORDER BY x.source, x.line, x.id`, source)
	if err != nil {
		return fmt.Errorf("store: read the rejects: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var x Reject
		if err := rows.Scan(&x.Source, &x.Columns, &x.Line, &x.Last, &x.Column, &x.Reason, &x.Record, &x.RejectedAt); err != nil {
			return fmt.Errorf("store: read the rejects: %w", err)
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return rows.Err()
}
