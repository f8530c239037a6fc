package store

// What is busy, what passes by itself, and what does not.

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsBusy says whether an error is "database is locked", in any of its forms:
// SQLITE_BUSY, BUSY_RECOVERY, BUSY_SNAPSHOT, BUSY_TIMEOUT.
func IsBusy(err error) bool { return primary(err) == sqlite3.SQLITE_BUSY }

// Passes says whether the same work may succeed later, nothing else changed
// by us: the database is locked, or the disk is full.
func Passes(err error) bool {
	code := primary(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_FULL
}

const notADatabase = sqlite3.SQLITE_NOTADB

// primary is SQLite's result code without the extension; 0 if err is no error
// of SQLite's.
func primary(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
