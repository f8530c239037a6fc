package locks

// Which byte of a file is which lock, and so who holds what. The numbers are
// part of SQLite's file format: sqlite.org/src/file/src/os_unix.c and, for the
// -shm file, wal.c.

import (
	"slices"
)

const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedFirst  = pendingByte + 2
	sharedLast   = sharedFirst + 510 - 1

	walWriteByte      = 120
	walCheckpointByte = 121
	walRecoverByte    = 122
	walReadFirst      = 123
	walReadLast       = 127
	walInUseByte      = 128 // shared by every connection in WAL mode, idle ones included
)

// mainLock names a lock on the database file. The kernel joins adjacent ranges,
// so one entry may stand for several locks. mainLock returns the strongest.
func mainLock(e entry) (Name, bool) {
	switch {
	case e.write && e.overlaps(sharedFirst, sharedLast):
		return Exclusive, true
	case e.write && e.overlaps(pendingByte, pendingByte):
		return Pending, true
	case e.write && e.overlaps(reservedByte, reservedByte):
		return Reserved, true
	case !e.write && e.overlaps(sharedFirst, sharedLast), !e.write && e.overlaps(pendingByte, pendingByte):
		return Shared, true // a read lock on the pending byte is a reader about to begin
	}
	return "", false
}

// shmLocks names the locks on the -shm file. Unlike the locks on the database
// file, they do not imply each other.
func shmLocks(e entry, found func(Name)) {
	if e.write && e.overlaps(walWriteByte, walWriteByte) {
		found(WALWrite)
	}
	if e.write && e.overlaps(walRecoverByte, walRecoverByte) {
		found(Recover)
	} else if e.write && e.overlaps(walCheckpointByte, walCheckpointByte) {
		found(Checkpoint) // recovery takes this one as well
	}
	if e.overlaps(walReadFirst, walReadLast) {
		found(WALRead)
	}
}

// decode turns the entries of a database's two files into locks.
func decode(main, shm []entry) []Lock {
	var all []Lock
	wal := slices.ContainsFunc(shm, func(e entry) bool { return e.overlaps(walInUseByte, walInUseByte) })
	add := func(e entry, n Name) {
		if !slices.ContainsFunc(all, func(l Lock) bool { return l.PID == e.pid && l.Name == n }) {
			all = append(all, Lock{PID: e.pid, Name: n})
		}
	}
	for _, e := range shm {
		shmLocks(e, func(n Name) { add(e, n) })
	}
	for _, e := range main {
		n, ok := mainLock(e)
		if !ok || wal && n == Shared {
			continue // in WAL mode every open connection holds this one all the time
		}
		add(e, n)
	}
	all = slices.DeleteFunc(all, func(l Lock) bool { return l.PID > 0 && implied(l, all) })
	sortLocks(all)
	return all
}

// implied reports whether the process holds a stronger lock that includes this
// one: a stronger write lock keeps the weaker ones, and a writer or a checkpoint
// reads as well. A process that writes on one connection and reads on another
// shows as a writer only.
func implied(l Lock, all []Lock) bool {
	return slices.ContainsFunc(all, func(o Lock) bool {
		if o.PID != l.PID || o.Name.strength() >= l.Name.strength() {
			return false
		}
		return l.Name.Class() == Read || l.Name == Reserved || l.Name == Pending
	})
}
