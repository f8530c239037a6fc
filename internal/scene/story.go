package scene

// What a scene leaves: who did what, when, and what SQLite said.

import (
	"fmt"

	"modernc.org/sqlite/lib"
)

// A Story is what happened when a scene was played.
type Story struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	OK      bool     `json:"ok"` // it came out as it must
	Error   *string  `json:"error"`
	Seconds float64  `json:"seconds"`
	Acts    []Act    `json:"acts"`
	Why     string   `json:"why"`
	Cure    string   `json:"cure"`
	Links   []string `json:"links"`
}

// An Act is a part of a story, on a database of its own.
type Act struct {
	Title       string  `json:"title"`
	JournalMode string  `json:"journal_mode"`
	Cast        []Role  `json:"cast"`
	Events      []Event `json:"events"`
}

// A Role is an actor: a process with one connection.
type Role struct {
	Actor         string `json:"actor"`
	PID           int    `json:"pid"`
	BusyTimeoutMS int64  `json:"busy_timeout_ms"`
}

// Kinds of event. A statement is one event when nothing else happens while it
// runs, and two when it does: started, ended.
const (
	kindStatement = "statement"
	kindStarted   = "started"
	kindEnded     = "ended"
	kindShell     = "shell" // done or seen from outside of SQLite
)

// An Event is a line of the time line.
type Event struct {
	AtMS     float64  `json:"at_ms"` // since the act began
	Actor    string   `json:"actor"` // "shell" for what happens outside of SQLite
	Kind     string   `json:"kind"`
	Text     string   `json:"text"`      // the statement, or what was typed
	Code     *int     `json:"code"`      // SQLite's extended result code
	CodeName *string  `json:"code_name"` // and its name
	Message  *string  `json:"message"`   // SQLite's own words, when it refused
	WaitedMS *float64 `json:"waited_ms"` // from the statement's start to its end
	AtOnce   bool     `json:"at_once"`   // refused without waiting for the busy timeout
	Result   *string  `json:"result"`    // what it read, or what the shell saw
	Note     string   `json:"note"`
}

var codeNames = map[int]string{
	sqlite3.SQLITE_OK:            "SQLITE_OK",
	sqlite3.SQLITE_ERROR:         "SQLITE_ERROR",
	sqlite3.SQLITE_BUSY:          "SQLITE_BUSY",
	sqlite3.SQLITE_BUSY_RECOVERY: "SQLITE_BUSY_RECOVERY",
	sqlite3.SQLITE_BUSY_SNAPSHOT: "SQLITE_BUSY_SNAPSHOT",
	sqlite3.SQLITE_LOCKED:        "SQLITE_LOCKED",
	sqlite3.SQLITE_IOERR:         "SQLITE_IOERR",
	sqlite3.SQLITE_FULL:          "SQLITE_FULL",
	sqlite3.SQLITE_CANTOPEN:      "SQLITE_CANTOPEN",
	sqlite3.SQLITE_PROTOCOL:      "SQLITE_PROTOCOL",
	sqlite3.SQLITE_SCHEMA:        "SQLITE_SCHEMA",
}

func codeName(code int) string {
	if name, ok := codeNames[code]; ok {
		return name
	}
	if name, ok := codeNames[code&0xff]; ok {
		return fmt.Sprintf("%s (extended)", name)
	}
	return "unknown"
}
