package store

// What the database looks like, and how we tell it is ours.

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

//go:embed schema.sql
var schema string

const (
	applicationID = 0x7475726e // "turn"
	version       = 1          // user_version: of the schema
)

// Create makes an empty database in the given journal mode, wal or delete. The
// file must not be there yet.
func Create(ctx context.Context, path, journal string) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("store: create %s: it is there already", path), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "", time.Second, pragmas(journal, full)...))
	if err != nil {
		return fmt.Errorf("store: create %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: create %s: %w", path, err)
	}
	return errors.Join(notOurs(path, prepare(ctx, conn, path)), conn.Close())
}

// How a connection that writes syncs its commits.
const (
	full = "full" // a commit is on disk
	// The last commits may go with the power, after their messages were
	// acknowledged: for measurements only.
	normal = "normal"
)

func pragmas(journal, sync string) []string {
	return []string{"journal_mode(" + journal + ")", "synchronous(" + sync + ")"}
}

// A querier is a connection or a pool of them.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// recognise says whether a database is empty, and returns a *ForeignError if
// it is neither empty nor ours.
func recognise(ctx context.Context, db querier, path string) (empty bool, err error) {
	var app, ver, tables int
	if err := db.QueryRowContext(ctx,
		`SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version`,
	).Scan(&app, &ver, &tables); err != nil {
		return false, notOurs(path, fmt.Errorf("store: open %s: %w", path, err))
	}
	switch {
	case app == 0 && tables == 0:
		return true, nil
	case app != applicationID:
		return false, foreign(path, "is a database of another program")
	case ver != version:
		return false, &ForeignError{
			path, fmt.Sprintf("has schema version %d, and this program knows %d", ver, version),
			"a newer turnstile made it: take that one, or another file: --db FILE",
		}
	}
	return false, nil
}

// look recognises a database before it is opened for writing, which would
// change its journal mode: what is not ours is left as it was.
func look(ctx context.Context, path string, busy time.Duration) (err error) {
	file, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && file.Size() == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "ro", busy))
	if err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	_, err = recognise(ctx, db, path)
	err = errors.Join(err, db.Close())
	if interrupted(err) {
		return rollBack(ctx, path, busy) // and Open looks again as it prepares
	}
	return err
}

// prepare makes the schema in an empty database, and refuses a database that
// is not ours.
func prepare(ctx context.Context, conn *sql.Conn, path string) error {
	return transact(ctx, conn, func() error {
		empty, err := recognise(ctx, conn, path)
		if err != nil || !empty {
			return err
		}
		return create(ctx, conn)
	})
}

func create(ctx context.Context, conn *sql.Conn) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	script := schema + fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	if _, err := conn.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("store: create the tables: %w", err)
	}
	_, err := conn.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('database', ?)`, hex.EncodeToString(id))
	return err
}

// sign notes who writes from now on, and reads the database's id.
func sign(ctx context.Context, conn *sql.Conn) (id string, err error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	err = transact(ctx, conn, func() error {
		if _, err := conn.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('writer', ?), ('writing_since', ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, fmt.Sprintf("%s/%d", host, os.Getpid()), now()); err != nil {
			return err
		}
		return conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'database'`).Scan(&id)
	})
	return id, err
}

func now() string { return time.Now().UTC().Format(time.DateTime) }

// transact runs f in a write transaction of the connection. After an error the
// connection is of no more use, and must be discarded: closing it is the
// surest way to roll back, also when it was the end of ctx that stopped us.
func transact(ctx context.Context, conn *sql.Conn, f func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return err
}

// discard closes a connection for good instead of giving it back to its pool.
func discard(conn *sql.Conn) error {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}
