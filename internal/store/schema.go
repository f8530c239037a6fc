package store

import (
	"context"
	"crypto/rand"
	"database/sql"
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
	schemaVersion = 1          // PRAGMA user_version
)

// Create creates an empty database in the given journal mode, wal or delete.
// It fails if the file exists.
func Create(ctx context.Context, path, journal string) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("store: create %s: the file exists", path), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db, err := sql.Open("sqlite", dataSource(path, "", time.Second, writerPragmas(journal, syncFull)...))
	if err != nil {
		return fmt.Errorf("store: create %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: create %s: %w", path, err)
	}
	return errors.Join(asForeign(path, ensureSchema(ctx, conn, path)), conn.Close())
}

// inspect checks a database before it is opened for writing. Opening it for
// writing changes its journal mode, and a foreign database must stay unchanged.
func inspect(ctx context.Context, path string, busyTimeout time.Duration) (err error) {
	file, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && file.Size() == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db, err := sql.Open("sqlite", dataSource(path, "ro", busyTimeout))
	if err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	_, err = checkSchema(ctx, db, path)
	err = errors.Join(err, db.Close())
	if isHotJournal(err) {
		return rollBackHotJournal(ctx, path, busyTimeout) // ensureSchema checks again
	}
	return err
}

// A queryer is a connection or a pool of them.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// checkSchema reports whether a database is empty. It returns a
// *ForeignError if the database is neither empty nor one of turnstile.
func checkSchema(ctx context.Context, db queryer, path string) (empty bool, err error) {
	var application, version, tables int
	if err := db.QueryRowContext(ctx,
		`SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version`,
	).Scan(&application, &version, &tables); err != nil {
		return false, asForeign(path, fmt.Errorf("store: open %s: %w", path, err))
	}
	switch {
	case application == 0 && tables == 0:
		return true, nil
	case application != applicationID:
		return false, foreign(path, "is a database of another program")
	case version != schemaVersion:
		return false, &ForeignError{
			path, fmt.Sprintf("has schema version %d, and this program knows %d", version, schemaVersion),
			"a newer turnstile made it: take that one, or another file: --db FILE",
		}
	}
	return false, nil
}

// ensureSchema creates the tables in an empty database, and refuses a foreign
// one.
func ensureSchema(ctx context.Context, conn *sql.Conn, path string) error {
	return inWriteTx(ctx, conn, func() error {
		empty, err := checkSchema(ctx, conn, path)
		if err != nil || !empty {
			return err
		}
		return createTables(ctx, conn)
	})
}

func createTables(ctx context.Context, conn *sql.Conn) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	script := schema + fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
	if _, err := conn.ExecContext(ctx, script); err != nil {
		return fmt.Errorf("store: create the tables: %w", err)
	}
	_, err := conn.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('database', ?)`, hex.EncodeToString(id))
	return err
}

// recordWriter writes host and process id of the new writer to meta. It
// returns the id of the database.
func recordWriter(ctx context.Context, conn *sql.Conn) (id string, err error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	err = inWriteTx(ctx, conn, func() error {
		if _, err := conn.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('writer', ?), ('writing_since', ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, fmt.Sprintf("%s/%d", host, os.Getpid()), now()); err != nil {
			return err
		}
		return conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'database'`).Scan(&id)
	})
	return id, err
}

func now() string { return time.Now().UTC().Format(time.DateTime) }
