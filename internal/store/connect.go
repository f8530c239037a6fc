package store

// Connections: everything one needs is in its name.

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

// notOurs makes an error that says so of a file that is no database.
func notOurs(path string, err error) error {
	if primary(err) == notADatabase {
		return foreign(path, "is not a SQLite database")
	}
	return err
}
