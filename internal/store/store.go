// Package store keeps rides in SQLite: one writer, any number of readers.
//
// # The writer
//
// [DB.Write] stores a batch in one transaction. The rows enter through a
// virtual table, with one statement instead of one a row. Rows that follow on
// the last one are appended without looking for their place; all others go
// through INSERT OR IGNORE, and what was ignored is compared with what is
// there: equal is fine, and a difference is a reject.
//
// # Exactly once
//
// A ride's id is its name: source.id << 32 | line. A row that comes again
// meets itself. So Write may be called any number of times with the same rows.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options are how to open a database.
type Options struct {
	Log         *slog.Logger
	BusyTimeout time.Duration // how long to wait for another's lock; 0 means 5 s
	// Unsafe commits with synchronous=NORMAL: a power cut may take the last
	// commits. It is there to be measured against.
	Unsafe bool
}

// A DB is a database open for writing. It is for one goroutine. Whoever opens
// it has the [WriterLock].
type DB struct {
	path  string
	real  string // absolute, links followed
	id    string
	log   *slog.Logger
	file  os.FileInfo // the database as it was opened
	db    *sql.DB
	conn  *sql.Conn // nil after an error, until it is needed again
	table *table    // what temp.batch shows
	st    map[string]*sql.Stmt
	cache cache

	busyTimeout time.Duration
	largeWAL    int64           // bytes; tests make it small
	watchedWAL  time.Time       // when it was large last
	differed    map[string]bool // sources whose rows differed before, said once

	failCommit func() error // tests make a transaction fail before its commit
}

// Open opens a database for writing, and makes it if it is not there: journal
// mode WAL, synchronous FULL. It returns a [*ForeignError] for what is not
// ours.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	path = resolve(path)
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if name, err := network(filepath.Dir(path)); err != nil {
		return nil, err
	} else if name != "" {
		return nil, &NetworkError{path, name}
	}
	if err := look(ctx, path, o.BusyTimeout); err != nil {
		return nil, err
	}
	d := &DB{path: path, log: o.Log, busyTimeout: o.BusyTimeout, largeWAL: largeWAL, table: &table{}, differed: map[string]bool{}, st: map[string]*sql.Stmt{}}
	sync := full
	if o.Unsafe {
		sync = normal
	}
	db, err := connect(dsn(path, "", o.BusyTimeout, pragmas("wal", sync)...), d.table)
	if err != nil {
		return nil, err
	}
	d.db = db
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(notOurs(path, err), d.Close())
	}
	return d, nil
}

func (d *DB) open(ctx context.Context) (err error) {
	if err := d.connected(ctx); err != nil {
		return err
	}
	if err := prepare(ctx, d.conn, d.path); err != nil {
		return err
	}
	var mode string
	if err := d.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("store: open %s: %w", d.path, err)
	}
	if mode != "wal" {
		return fmt.Errorf("store: %s: the file system allows no WAL, only journal mode %s", d.path, mode)
	}
	if d.id, err = sign(ctx, d.conn); err != nil {
		return fmt.Errorf("store: open %s: %w", d.path, err)
	}
	if d.real, err = filepath.Abs(d.path); err == nil {
		d.real, err = filepath.EvalSymlinks(d.real)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if d.file, err = os.Stat(d.path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// connected sees to it that there is a connection.
func (d *DB) connected(ctx context.Context) (err error) {
	if d.conn != nil {
		return nil
	}
	if d.conn, err = d.db.Conn(ctx); err != nil {
		d.conn = nil
		return fmt.Errorf("store: open %s: %w", d.path, err)
	}
	return nil
}

// reset forgets the connection and all that depends on it. Ids learned in a
// transaction that did not commit belong to other rows soon.
func (d *DB) reset() error {
	err := d.closeStatements() // first: SQLite keeps a connection, and its lock, that has some
	err = errors.Join(err, discard(d.conn))
	d.conn, d.cache = nil, cache{}
	return err
}

func (d *DB) closeStatements() error {
	var errs []error
	for _, s := range d.st {
		errs = append(errs, s.Close())
	}
	clear(d.st)
	return errors.Join(errs...)
}

// Path is where the database is, whatever link or folder it was opened by.
func (d *DB) Path() string { return d.real }

// ID is the database's own id, made with it.
func (d *DB) ID() string { return d.id }

// Close folds the WAL into the database, as far as no reader is in the way,
// and closes it.
func (d *DB) Close() error {
	errs := []error{d.closeStatements()}
	if d.conn != nil {
		if d.file != nil { // it was opened to the end
			errs = append(errs, d.empty(context.Background()))
		}
		if err := d.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, d.db.Close())...)
}
