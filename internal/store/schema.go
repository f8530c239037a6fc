package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

//go:embed schema.sql
var schema string

// migrations has a script N.sql for each version from 2 on, which makes a
// database of version N from one of version N-1. A script N.view.sql lets a
// reader use a database of version N without migrating it.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	applicationID = 0x7475726e // "turn"
	schemaVersion = 2          // PRAGMA user_version of schema.sql
)

// Create creates an empty database in the given journal mode, wal or delete.
// It fails if the file exists.
func Create(ctx context.Context, path, journal string) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("create %s: the file exists", path), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", DataSource(path, "", time.Second, writerPragmas(journal, syncFull)...))
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return errors.Join(openError(path, ensureSchema(ctx, conn, path, nil)), conn.Close())
}

// inspect returns the schema version of a database, as checkSchema does, by a
// connection that only reads. Opening a database for writing changes its
// journal mode, and a foreign database must stay unchanged.
func inspect(ctx context.Context, path string, busyTimeout time.Duration) (version int, err error) {
	file, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && file.Size() == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", DataSource(path, "ro", busyTimeout))
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	version, err = checkSchema(ctx, db, path)
	err = errors.Join(err, db.Close())
	if isHotJournal(err) {
		if err = rollBackHotJournal(ctx, path, busyTimeout); err == nil {
			return inspect(ctx, path, busyTimeout)
		}
	}
	return version, err
}

// A queryer is a connection or a pool of them.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// checkSchema returns the schema version of a database, or 0 if the database is
// empty. It returns a *ForeignError if the database is neither empty nor one of
// turnstile, and a *VersionError if its version is too new.
func checkSchema(ctx context.Context, db queryer, path string) (version int, err error) {
	var application, tables int
	if err := db.QueryRowContext(ctx,
		`SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version`,
	).Scan(&application, &version, &tables); err != nil {
		return 0, openError(path, fmt.Errorf("open %s: %w", path, err))
	}
	switch {
	case application == 0 && tables == 0:
		return 0, nil
	case application != applicationID || version < 1:
		return 0, foreign(path, "is a database of another program")
	case version > schemaVersion:
		return 0, &VersionError{path, version, schemaVersion}
	}
	return version, nil
}

// ensureSchema creates the tables in an empty database, migrates an older one,
// and refuses a foreign one. It calls migrated after each migration.
func ensureSchema(ctx context.Context, conn *sql.Conn, path string, migrated func(from, to int)) error {
	for {
		from := 0
		err := inWriteTx(ctx, conn, func() (err error) {
			from, err = checkSchema(ctx, conn, path)
			switch {
			case err != nil || from == schemaVersion:
				return err
			case from == 0:
				return createTables(ctx, conn)
			}
			return migrate(ctx, conn, from+1)
		})
		if err != nil || from == 0 || from == schemaVersion {
			return err
		}
		migrated(from, from+1)
	}
}

// migrate makes a database of version to from one of the version before. It
// runs in a transaction: an interrupted migration leaves the older version.
func migrate(ctx context.Context, conn *sql.Conn, to int) error {
	script, err := migrations.ReadFile(fmt.Sprintf("migrations/%d.sql", to))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if _, err := conn.ExecContext(ctx, string(script)+fmt.Sprintf("PRAGMA user_version = %d;", to)); err != nil {
		return fmt.Errorf("store: migrate to schema version %d: %w", to, err)
	}
	return nil
}

// compatibilityViews returns a script that creates temporary views in the
// connection of a reader. They make a database of an older version look like
// one of the current version.
func compatibilityViews(version int) (string, error) {
	if version == schemaVersion {
		return "", nil
	}
	script, err := migrations.ReadFile(fmt.Sprintf("migrations/%d.view.sql", version))
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return string(script), nil
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
		err := conn.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'database'`).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return errors.New("the table meta is damaged: it has no id of the database")
		}
		return err
	})
	return id, err
}

func now() string { return time.Now().UTC().Format(time.DateTime) }
