// Package locks says which process holds which lock on an SQLite database
// file, from outside: by stat(2) and the kernel's table of locks.
//
// # Never open the database
//
// POSIX locks belong to a process and a file. A process that opens the
// database (or its -shm) and closes it again loses every lock its own
// connections have on it, silently, and two writers then corrupt the file.
// So a [Sampler] looks at names and numbers only and may be used beside
// connections; it opens nothing but O_PATH descriptors, whose closing leaves
// locks alone. A [Watcher] knows more because it does open the file: it is for
// processes that have no connection to it.
//
// # What can't be seen
//
// SQLite polls: who waits for a lock leaves no request. Locks shorter than the
// time between two samples are missed or, if they follow on each other, look
// like one. Only Linux has the table, /proc/locks.
package locks

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// ErrUnsupported is returned where the system does not tell who holds a lock.
var ErrUnsupported = errors.New("locks: this system does not tell who holds a lock on a file: only Linux has /proc/locks")

// A Name is a lock by SQLite's name for it.
type Name string

// The locks, the strongest first. The first four are on the database file and
// climb one after another; the others are on the -shm file of WAL mode.
const (
	Exclusive  Name = "exclusive"      // writing to the file
	Pending    Name = "pending"        // about to write to the file: waits for the readers to leave
	Reserved   Name = "reserved"       // a transaction that has written, not to the file yet
	WALWrite   Name = "wal-write"      // a transaction that has written
	Recover    Name = "wal-recover"    // makes the index of the WAL anew after a crash
	Checkpoint Name = "wal-checkpoint" // copies the WAL into the file
	Shared     Name = "shared"         // a transaction that has read
	WALRead    Name = "wal-read"       // a transaction that has read
)

var byStrength = []Name{Exclusive, Pending, Reserved, WALWrite, Recover, Checkpoint, Shared, WALRead}

// A Class is what a lock is held for. A process that climbs from reserved to
// exclusive holds one and the same write lock all the while.
type Class string

// The classes.
const (
	Write         Class = "write"
	Read          Class = "read"
	Recovery      Class = "recovery"
	Checkpointing Class = "checkpoint"
)

// Class says what the lock is for.
func (n Name) Class() Class {
	switch n {
	case Exclusive, Pending, Reserved, WALWrite:
		return Write
	case Recover:
		return Recovery
	case Checkpoint:
		return Checkpointing
	}
	return Read
}

func (n Name) strength() int { return slices.Index(byStrength, n) }

// Process numbers of holders that have none.
const (
	Hidden  = 0  // in a PID namespace that can't be seen from here, or on another machine
	Unnamed = -1 // an open file description's lock, which belongs to no process
)

// A Lock is one process's lock in one sample.
type Lock struct {
	PID     int // or Hidden, or Unnamed
	Command string
	Name    Name
	Since   time.Time // of the first sample of those in a row that had it
	OFD     bool      // held by an open file description: the table itself names no process
}

func sortLocks(all []Lock) {
	slices.SortFunc(all, func(a, b Lock) int {
		return cmp.Or(cmp.Compare(a.Name.strength(), b.Name.strength()), cmp.Compare(a.PID, b.PID))
	})
}

// A Process has the database open.
type Process struct {
	PID     int
	Command string
	Stopped bool // by SIGSTOP or a debugger: it can't let go of anything
}
