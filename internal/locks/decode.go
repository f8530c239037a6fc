package locks

// From ranges of bytes to SQLite's names. The numbers are part of SQLite's
// file format: sqlite.org/src/file/src/os_unix.c, and wal.c for the -shm.

import "slices"

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
	walInUseByte      = 128 // shared by every connection in WAL mode, also an idle one
)

func (e entry) on(first, last uint64) bool { return e.from <= last && e.to >= first }

// mainLock names a lock on the database file. A range may cover several bytes,
// because the kernel joins adjacent ones: the strongest is the answer.
func mainLock(e entry) (Name, bool) {
	switch {
	case e.write && e.on(sharedFirst, sharedLast):
		return Exclusive, true
	case e.write && e.on(pendingByte, pendingByte):
		return Pending, true
	case e.write && e.on(reservedByte, reservedByte):
		return Reserved, true
	case !e.write && e.on(sharedFirst, sharedLast), !e.write && e.on(pendingByte, pendingByte):
		return Shared, true // a read lock on the pending byte is a reader on its way in
	}
	return "", false
}

// shmLocks names the locks on the -shm file; unlike those on the database they
// don't imply each other.
func shmLocks(e entry, found func(Name)) {
	if e.write && e.on(walWriteByte, walWriteByte) {
		found(WALWrite)
	}
	if e.write && e.on(walRecoverByte, walRecoverByte) {
		found(Recover)
	} else if e.write && e.on(walCheckpointByte, walCheckpointByte) {
		found(Checkpoint) // recovery takes this one too
	}
	if e.on(walReadFirst, walReadLast) {
		found(WALRead)
	}
}

// decode makes locks of the entries on the two files of a database.
func decode(main, shm []entry) []Lock {
	var all []Lock
	wal := slices.ContainsFunc(shm, func(e entry) bool { return e.on(walInUseByte, walInUseByte) })
	add := func(e entry, n Name) {
		if !slices.ContainsFunc(all, func(l Lock) bool { return l.PID == e.pid && l.Name == n }) {
			all = append(all, Lock{PID: e.pid, Name: n, OFD: e.ofd})
		}
	}
	for _, e := range shm {
		shmLocks(e, func(n Name) { add(e, n) })
	}
	for _, e := range main {
		n, ok := mainLock(e)
		if !ok || wal && n == Shared {
			continue // in WAL mode every open connection has this one all the time
		}
		add(e, n)
	}
	all = slices.DeleteFunc(all, func(l Lock) bool { return l.PID > 0 && implied(l, all) })
	sortLocks(all)
	return all
}

// implied says whether a stronger lock of the same process is the reason for
// this one: on the way up a process keeps what it had, and a writer in WAL mode
// or a checkpoint reads as well. (A process that writes on one connection and
// reads on another shows as a writer only, while it writes.)
func implied(l Lock, all []Lock) bool {
	return slices.ContainsFunc(all, func(o Lock) bool {
		if o.PID != l.PID || o.Name.strength() >= l.Name.strength() {
			return false
		}
		return l.Name.Class() == Read || l.Name == Reserved || l.Name == Pending
	})
}
