// Package locks reports which process holds which lock on an SQLite database
// file. It looks from outside, at the kernel's table of locks, /proc/locks.
//
// # Never open the database beside a connection
//
// POSIX locks belong to a process and a file. A process that opens the
// database or its -shm file and closes it again silently loses every lock that
// its own connections hold there. Two writers then corrupt the file.
//
//   - A [Sampler] opens nothing but O_PATH descriptors, and closing those keeps
//     locks. It may run in a process that has connections to the database.
//   - A [Watcher] sees more, because it opens the files. It must run in a process
//     that has no connection to the database.
//
// # What is not visible
//
// SQLite polls for a lock, so a waiter leaves no trace in the table. A lock held
// for less than the time between two samples is missed. Several short locks in
// a row may look like one long lock.
package locks

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// ErrUnsupported is returned on systems that do not publish lock holders.
var ErrUnsupported = errors.New("lock holders are visible on Linux only, in /proc/locks")

// Name is SQLite's name for a lock.
type Name string

// The locks, strongest first. The first three are stages of a write transaction
// in rollback mode. Those named wal-* are on the -shm file of WAL mode.
const (
	Exclusive  Name = "exclusive"      // writes to the database file
	Pending    Name = "pending"        // waits for readers to leave, then writes to the database file
	Reserved   Name = "reserved"       // has begun a write transaction
	WALWrite   Name = "wal-write"      // has begun a write transaction
	Recover    Name = "wal-recover"    // rebuilds the index of the WAL after a crash
	Checkpoint Name = "wal-checkpoint" // copies the WAL into the database file
	Shared     Name = "shared"         // has begun a read transaction
	WALRead    Name = "wal-read"       // has begun a read transaction
)

var byStrength = []Name{Exclusive, Pending, Reserved, WALWrite, Recover, Checkpoint, Shared, WALRead}

// Class is the purpose of a lock. A process that goes from reserved to exclusive
// holds one write lock all the time.
type Class string

// The classes.
const (
	Write         Class = "write"
	Read          Class = "read"
	Recovery      Class = "recovery"
	Checkpointing Class = "checkpoint"
)

// Class returns the purpose of the lock.
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

// Blocks reports whether another process may have to wait for the lock.
func (n Name) Blocks() bool { return n != WALRead && n != Checkpoint }

// strength is 0 for the strongest lock.
func (n Name) strength() int { return slices.Index(byStrength, n) }

// PIDs of holders that the kernel does not name.
const (
	Hidden  = 0  // a process in another PID namespace, or on another machine
	Unnamed = -1 // an open file description (OFD lock), which belongs to no process
)

// Lock is a lock of one process in one sample.
type Lock struct {
	PID     int // or Hidden, or Unnamed
	Command string
	Name    Name
	Since   time.Time // first of the consecutive samples that contain the lock
	Idle    bool      // Exclusive without an open write transaction; only a Watcher knows
}

func sortLocks(all []Lock) {
	slices.SortFunc(all, func(a, b Lock) int {
		return cmp.Or(cmp.Compare(a.Name.strength(), b.Name.strength()), cmp.Compare(a.PID, b.PID))
	})
}

// Process is a process that has the database open. What is not known is empty.
type Process struct {
	PID       int
	Command   string
	User      string // name, or number where it has no name
	State     State
	Started   time.Time
	Container string // short id
	InnerPID  int    // PID in its own PID namespace, if that is another one
}

// State is what the kernel says a process does.
type State string

// The states.
const (
	Running  State = "running"
	Sleeping State = "sleeping"
	DiskWait State = "disk wait" // in the kernel, mostly for a disk: it cannot even be killed
	Stopped  State = "stopped"   // by SIGSTOP or Ctrl-Z: it cannot release a lock
	Traced   State = "traced"    // stopped by a debugger
	Zombie   State = "zombie"    // has ended; its locks are free
)

// Halted reports whether the process cannot release a lock, because somebody
// stopped it.
func (s State) Halted() bool { return s == Stopped || s == Traced }
