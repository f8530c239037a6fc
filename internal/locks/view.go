package locks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// View is what a Watcher saw at one moment.
type View struct {
	Mode    string // Rollback, WAL or Unknown
	Visible bool   // false: the holder of a lock is hidden, or may be; Notes say why
	Locks   []Lock
	Changed bool      // the database or its WAL was written to since the last look
	WAL     *WALState // nil outside of WAL mode, and while it cannot be read
	Notes   []string
	Unseen  []string // why there may be locks that are not listed
}

// addNotes says what the locks leave open, and sets Visible.
func (v *View) addNotes(deviceKnown bool, network string) {
	v.Visible = true
	if names := v.heldBy(Hidden); names != "" {
		v.Visible = false
		v.Notes = append(v.Notes, "held by a process that can't be seen from here: "+names+
			"; it is in another PID namespace (a container) or on another machine: watch where it runs, or with its PID namespace")
	}
	if names := v.heldBy(Unnamed); names != "" {
		v.Visible = false
		v.Notes = append(v.Notes, "held by an open file description (OFD lock), for which the system names no process: "+names)
	}
	if network != "" {
		v.Visible = false
		v.Unseen = append(v.Unseen, "the file is on "+network+": locks of other machines don't show here")
	}
	if !deviceKnown {
		v.Notes = append(v.Notes, "the system does not tell the device of this file, only its inode: a lock on another file with the same inode number would show here, too")
	}
}

// heldBy lists the locks of a holder without a process number.
func (v *View) heldBy(pid int) string {
	var names []string
	for _, l := range v.Locks {
		if l.PID == pid && !slices.Contains(names, string(l.Name)) {
			names = append(names, string(l.Name))
		}
	}
	return strings.Join(names, ", ")
}

// The journal modes, as far as their locks differ.
const (
	Rollback = "rollback" // DELETE, TRUNCATE, PERSIST, MEMORY, OFF
	WAL      = "wal"
	Unknown  = "unknown" // an empty file: SQLite has not written to it yet
)

// ErrNotDatabase is returned for a file without the header of an SQLite database.
var ErrNotDatabase = errors.New("not an SQLite database")

const magic = "SQLite format 3\x00"

// Mode reads the journal mode from the header of a database. It opens and closes
// the file: never call it in a process that has a connection to the database.
func Mode(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return Unknown, err
	}
	defer f.Close() // only read
	var header [20]byte
	n, err := io.ReadFull(f, header[:])
	switch {
	case errors.Is(err, io.EOF):
		return Unknown, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Unknown, fmt.Errorf("locks: %w", err)
	case n < len(header) || string(header[:len(magic)]) != magic:
		return Unknown, fmt.Errorf("%s: %w", path, ErrNotDatabase)
	case header[18] == 2:
		return WAL, nil
	}
	return Rollback, nil
}
