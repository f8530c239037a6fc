package locks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// What a Watcher sees at once, and what it can't see, in words.

// A View is what a look at a database shows.
type View struct {
	Mode    string // Rollback, WAL, Unknown
	Visible bool   // false: a lock's holder is hidden, or may be; Notes say why
	Locks   []Lock
	Changed bool // written to since the last look
	Notes   []string
}

// note says what the locks leave open. It sets Visible.
func (v *View) note(sure bool, network string) {
	v.Visible = true
	if names := v.of(Hidden); names != "" {
		v.Visible = false
		v.Notes = append(v.Notes, "held by a process that can't be seen from here: "+names+
			"; it is in another PID namespace (a container) or on another machine: watch where it runs, or with its PID namespace")
	}
	if names := v.of(Unnamed); names != "" {
		v.Visible = false
		v.Notes = append(v.Notes, "held by an open file description (OFD lock), for which the system names no process: "+names+
			"; root can look further, through the descriptors of every process")
	}
	for _, l := range v.Locks {
		if l.OFD && l.PID > 0 {
			v.Visible = false
			v.Notes = append(v.Notes, fmt.Sprintf("%s is an open file description's lock (OFD lock), for which the lock table names no process (pid -1): "+
				"that it is %d's was found among the descriptors of the processes, and one that shares the descriptor would hold it too", l.Name, l.PID))
		}
	}
	if network != "" {
		v.Visible = false
		v.Notes = append(v.Notes, "the file is on "+network+": locks of other machines don't show here")
	}
	if !sure {
		v.Notes = append(v.Notes, "the system does not tell the device of this file: it is known by its inode alone, and a lock on another file of that number would show as its")
	}
}

// of lists the locks of one who has no process number.
func (v *View) of(pid int) string {
	var names []string
	for _, l := range v.Locks {
		if l.PID == pid && !slices.Contains(names, string(l.Name)) {
			names = append(names, string(l.Name))
		}
	}
	return strings.Join(names, ", ")
}

// The journal mode, from the header of the file.

// The journal modes, as far as locks differ.
const (
	Rollback = "rollback" // DELETE, TRUNCATE, PERSIST, MEMORY, OFF
	WAL      = "wal"
	Unknown  = "unknown" // an empty file: SQLite has not written to it yet
)

// ErrNotDatabase is returned for a file that does not begin as SQLite's do.
var ErrNotDatabase = errors.New("not an SQLite database")

const magic = "SQLite format 3\x00"

// Mode reads the journal mode. It opens and closes the file: never call it in
// a process that has a connection to that database (see the package's doc).
func Mode(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return Unknown, fmt.Errorf("locks: %w", err)
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
		return Unknown, fmt.Errorf("locks: %s: %w", path, ErrNotDatabase)
	case header[18] == 2:
		return WAL, nil
	}
	return Rollback, nil
}
