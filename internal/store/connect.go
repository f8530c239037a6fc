package store

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

// DataSource returns the DSN of a database file. All settings are part of the
// DSN: a PRAGMA sent later would reach only one connection of the pool. mode
// is SQLite's ro, rw or "" for rwc.
func DataSource(path, mode string, busyTimeout time.Duration, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		path = "/" + path // file:/C:/rides.db
	}
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}, pragmas...)}
	if mode != "" {
		q.Set("mode", mode)
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return u.String()
}

// Values of PRAGMA synchronous.
const (
	syncFull   = "full"   // a commit is on disk when it returns
	syncNormal = "normal" // a power cut may undo the last commits, acknowledged ones too: for measurements only
)

func writerPragmas(journal, sync string) []string {
	return []string{"journal_mode(" + journal + ")", "synchronous(" + sync + ")"}
}

// connect opens a pool of one connection that has the virtual table temp.batch
// and the SQL function sha256. It runs the script setup in the connection.
func connect(dsn, setup string, t *batchTable) (*sql.DB, error) {
	d := new(sqlite.Driver) // not the shared driver: its modules are global to the process
	if err := d.RegisterModule("batch", t); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := d.RegisterDeterministicScalarFunction("sha256", 1, sqlSHA256); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db := sql.OpenDB(&connector{d, dsn, "CREATE VIRTUAL TABLE temp.batch USING batch;" + setup})
	db.SetMaxOpenConns(1)
	return db, nil
}

// sqlSHA256 is the SQL function sha256(blob). SQLite has none.
func sqlSHA256(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	blob, ok := args[0].([]byte)
	if !ok {
		return nil, fmt.Errorf("sha256 of a %T, want a blob", args[0])
	}
	return recordDigest(blob), nil
}

// A connector runs the script setup in every connection. A connection that
// replaces a failed one therefore has the same temporary tables and views.
type connector struct {
	driver *sqlite.Driver
	dsn    string
	setup  string
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, c.setup, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// inWriteTx runs f in a write transaction. After an error the caller must
// discard the connection: closing it is the one certain way to roll back, even
// after ctx has ended.
func inWriteTx(ctx context.Context, conn *sql.Conn, f func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return err
}

// discardConn closes a connection instead of returning it to its pool.
func discardConn(conn *sql.Conn) error {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// isHotJournal reports whether a reader met a hot rollback journal. A writer
// that was killed in a rollback-journal transaction leaves one, most likely
// while it created the database. A read-only connection cannot roll it back
// and gets SQLITE_READONLY_ROLLBACK (776).
func isHotJournal(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK
}

// rollBackHotJournal undoes the transaction of a killed writer. SQLite does so
// as soon as a connection that may write reads.
func rollBackHotJournal(ctx context.Context, path string, busyTimeout time.Duration) error {
	db, err := sql.Open("sqlite", DataSource(path, "rw", busyTimeout))
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
