package report

import "fmt"

// A resultCode is a result of SQLite as its documentation names it, with the
// message of the sqlite3 shell and of most drivers.
type resultCode struct{ name, message string }

// resultCodes are the codes that concurrent writers meet. The extended codes of
// SQLITE_BUSY share its message, so only the number tells them apart.
var resultCodes = map[int]resultCode{
	0:   {"SQLITE_OK", "not an error"},
	1:   {"SQLITE_ERROR", "SQL logic error"},
	5:   {"SQLITE_BUSY", "database is locked"},
	261: {"SQLITE_BUSY_RECOVERY", "database is locked"},
	517: {"SQLITE_BUSY_SNAPSHOT", "database is locked"},
	773: {"SQLITE_BUSY_TIMEOUT", "database is locked"},
	6:   {"SQLITE_LOCKED", "database table is locked"},
	8:   {"SQLITE_READONLY", "attempt to write a readonly database"},
	10:  {"SQLITE_IOERR", "disk I/O error"},
	13:  {"SQLITE_FULL", "database or disk is full"},
	14:  {"SQLITE_CANTOPEN", "unable to open database file"},
	15:  {"SQLITE_PROTOCOL", "locking protocol"},
	17:  {"SQLITE_SCHEMA", "database schema has changed"},
	19:  {"SQLITE_CONSTRAINT", "constraint failed"},
}

// CodeName returns the name of a result code of SQLite, such as SQLITE_BUSY. An
// extended code without an entry gets the name of its primary code.
func CodeName(code int) string {
	if c, ok := resultCodes[code]; ok {
		return c.name
	}
	if c, ok := resultCodes[code&0xff]; ok {
		return c.name + " (extended)"
	}
	return "unknown"
}

// CodeText returns the message, number and name of a result code of SQLite:
// "database is locked (5) (SQLITE_BUSY)".
func CodeText(code int) string {
	if c, ok := resultCodes[code]; ok {
		return fmt.Sprintf("%s (%d) (%s)", c.message, code, c.name)
	}
	if c, ok := resultCodes[code&0xff]; ok {
		return fmt.Sprintf("%s (%d) (%s), extended code %d", c.message, code&0xff, c.name, code)
	}
	return fmt.Sprintf("SQLite error %d", code)
}
