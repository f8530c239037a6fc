package store

// Connections: everything one needs is in its name.
// A writer that was killed in the middle of a rollback-journal transaction
// leaves a hot journal: most of all the one that was just making the database.
// Who may only read can't roll it back and is refused (776).

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dsn names a database file. Everything a connection needs is in it: a PRAGMA
// sent later would reach only one connection of the pool.
func dsn(path, mode string, busy time.Duration, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		path = "/" + path // file:/C:/rides.db
	}
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}, pragmas...)}
	if mode != "" {
		q.Set("mode", mode)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// connect opens a pool of one connection that has the virtual table temp.batch.
func connect(dsn string, t *table) (*sql.DB, error) {
	d := new(sqlite.Driver) // its own: modules of the common driver are for the whole process
	if err := d.RegisterModule("batch", t); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db := sql.OpenDB(&connector{d, dsn})
	db.SetMaxOpenConns(1)
	return db, nil
}

// A connector makes temp.batch in every connection, so that one that replaces
// another has it too.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, "CREATE VIRTUAL TABLE temp.batch USING batch", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// interrupted says whether an error is that of a reader before a hot journal.
func interrupted(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK
}

// rollBack undoes what a killed writer left half done: SQLite does it for the
// first who may write and reads.
func rollBack(ctx context.Context, path string, busy time.Duration) error {
	db, err := sql.Open("sqlite", dsn(path, "rw", busy))
	if err != nil {
		return fmt.Errorf("store: roll back %s: %w", path, err)
	}
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables)
	if err != nil {
		err = fmt.Errorf("store: roll back %s: %w", path, err)
	}
	return errors.Join(err, db.Close())
}
