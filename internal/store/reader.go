package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"turnstile/internal/mta"
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
		return nil, err
	}
	if err := checkPath(path); err != nil {
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

// maxNamedSources is how many data sets a [SourceError] knows.
const maxNamedSources = 1000

// CheckSource returns a [*SourceError] if nothing was ever stored under a name.
func (r *Reader) CheckSource(ctx context.Context, name string) (err error) {
	rows, err := r.db.QueryContext(ctx, "SELECT name FROM source ORDER BY name <> ?, id DESC LIMIT ?", name, maxNamedSources)
	if err != nil {
		return fmt.Errorf("store: read the data sets: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	e := &SourceError{Path: r.path, Name: name}
	for rows.Next() {
		var known string
		if err := rows.Scan(&known); err != nil || known == name {
			return err
		}
		e.Known = append(e.Known, known)
	}
	return errors.Join(rows.Err(), e)
}

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
	Differs    *Difference // of a row that differs from the stored one: the first column that does
	Record     []byte      // as received, byte for byte
	RejectedAt string      // UTC, YYYY-MM-DD HH:MM:SS
}

// difference returns the first column in which the record differs from the stored ride,
// or nil if the record is no ride any more.
func (x *Reject) difference(parser *mta.Parser, stored []any) *Difference {
	parser.Begin()
	part := parser.Parse(mta.Chunk{Source: x.Source, Columns: x.Columns, Line: x.Line, Data: x.Record})
	if len(part.Rides) != 1 {
		return nil
	}
	dims := parser.Dimensions()
	d := differingColumn(&part.Rides[0], &dims, stored)
	if d.Column == "" {
		return nil
	}
	return &d
}

// Rejects calls each for the rejects of a source, by line. With source "" it
// does so for all sources.
func (r *Reader) Rejects(ctx context.Context, source string, each func(Reject) error) (err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT s.name, s.columns, x.line, x.last, x."column", x.reason, x.record, x.rejected_at, `+rideColumns+`
		FROM reject x JOIN source s ON s.id = x.source
		LEFT JOIN ride ON x.reason = ?2 AND ride.id = x.source << 32 | x.line
		LEFT JOIN station ON station.id = ride.station LEFT JOIN fare ON fare.id = ride.fare
		WHERE ?1 = '' OR s.name = ?1 ORDER BY x.source, x.line, x.id`, source, reasonDiffers)
	if err != nil {
		return fmt.Errorf("store: read the rejects: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var x Reject
	var stored [12]any // the ride that a row differs from
	into := []any{&x.Source, &x.Columns, &x.Line, &x.Last, &x.Column, &x.Reason, &x.Record, &x.RejectedAt}
	for i := range stored {
		into = append(into, &stored[i])
	}
	parser := mta.NewParser()
	for rows.Next() {
		x = Reject{}
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("store: read the rejects: %w", err)
		}
		if err := (storedRun{line: x.Line, last: x.Last}).check(); err != nil {
			return fmt.Errorf("store: read the rejects: %w", err)
		}
		if x.Reason == reasonDiffers && stored[0] != nil {
			x.Differs = x.difference(parser, stored[:])
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return rows.Err()
}
