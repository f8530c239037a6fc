package lab

// What SQLite's result codes are called.

import "fmt"

// busy is SQLITE_BUSY. The extended codes of the family have it as their
// lowest byte.
const busy = 5

var codeNames = map[int]string{
	5: "database is locked (5) (SQLITE_BUSY)",
	// The sqlite shell and most drivers print the first words for all of the
	// family, so that the number is what tells them apart.
	261: "database is locked (261) (SQLITE_BUSY_RECOVERY)",
	517: "database is locked (517) (SQLITE_BUSY_SNAPSHOT)",
	773: "database is locked (773) (SQLITE_BUSY_TIMEOUT)",
	6:   "database table is locked (6) (SQLITE_LOCKED)",
	8:   "attempt to write a readonly database (8) (SQLITE_READONLY)",
	10:  "disk I/O error (10) (SQLITE_IOERR)",
	13:  "database or disk is full (13) (SQLITE_FULL)",
	14:  "unable to open database file (14) (SQLITE_CANTOPEN)",
	15:  "locking protocol (15) (SQLITE_PROTOCOL)",
	19:  "constraint failed (19) (SQLITE_CONSTRAINT)",
}

func errorText(code int) string {
	if s, ok := codeNames[code]; ok {
		return s
	}
	if s, ok := codeNames[code&0xff]; ok {
		return fmt.Sprintf("%s, extended code %d", s, code)
	}
	return fmt.Sprintf("SQLite error %d", code)
}
