package store

// A writer that was killed in the middle of a rollback-journal transaction
// leaves a hot journal: most of all the one that was just making the database.
// Who may only read can't roll it back and is refused (776).

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

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
