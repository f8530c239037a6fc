package locks

import (
	"bytes"
	"math"
	"slices"
)

// The kernel's table of locks, a line each:
//
//	1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 1073741825 1073741825
//	2: OFDLCK ADVISORY  READ -1 fd:00:2531452 1073741826 1073742335
//	2: -> POSIX  ADVISORY  WRITE 3601 fd:00:2531452 0 EOF
//
// The third waits for the second and holds nothing.

// A file is one as the table names it.
type file struct {
	dev uint64 // major << 32 | minor
	ino uint64
}

// An entry is a lock on a range of bytes, both ends included.
type entry struct {
	file
	pid      int
	write    bool
	ofd      bool
	from, to uint64
}

// parseTable calls each for every lock held on a range of bytes. A line it
// does not know is passed over: the kernel has said that it may add some.
func parseTable(table []byte, each func(entry)) {
	for line := range bytes.Lines(table) {
		if e, ok := parseLine(line); ok {
			each(e)
		}
	}
}

// word splits off the first word.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t\n"); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

func parseLine(line []byte) (entry, bool) {
	var e entry
	_, line = word(line) // the ordinal
	kind, line := word(line)
	switch string(kind) {
	case "POSIX":
	case "OFDLCK":
		e.ofd = true
	default:
		return e, false // flock, a lease, or "->": waits
	}
	_, line = word(line) // ADVISORY
	access, line := word(line)
	pid, line := word(line)
	where, line := word(line)
	from, line := word(line)
	to, _ := word(line)
	e.write = string(access) == "WRITE"
	var ok [4]bool
	e.pid, ok[0] = signed(pid)
	e.file, ok[1] = parseFile(where)
	e.from, ok[2] = number(from, 10)
	if string(to) == "EOF" {
		e.to, ok[3] = math.MaxUint64, true
	} else {
		e.to, ok[3] = number(to, 10)
	}
	return e, ok == [4]bool{true, true, true, true}
}

// parseFile reads major:minor:inode, the first two in base 16.
func parseFile(where []byte) (file, bool) {
	major, rest, ok1 := bytes.Cut(where, []byte{':'})
	minor, inode, ok2 := bytes.Cut(rest, []byte{':'})
	a, ok3 := number(major, 16)
	b, ok4 := number(minor, 16)
	i, ok5 := number(inode, 10)
	return file{a<<32 | b, i}, ok1 && ok2 && ok3 && ok4 && ok5
}

func signed(word []byte) (int, bool) {
	digits := bytes.TrimPrefix(word, []byte{'-'})
	n, ok := number(digits, 10)
	if len(digits) < len(word) {
		return -int(n), ok
	}
	return int(n), ok
}

// number is strconv.ParseUint of bytes, without turning them into a string: a
// sample is taken a hundred times a second.
func number(digits []byte, base uint64) (n uint64, ok bool) {
	for _, c := range digits {
		d := uint64(99)
		switch {
		case '0' <= c && c <= '9':
			d = uint64(c - '0')
		case 'a' <= c && c <= 'f':
			d = uint64(c-'a') + 10
		}
		if d >= base || n > (math.MaxUint64-d)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, len(digits) > 0
}

// From ranges of bytes to SQLite's names. The numbers are part of SQLite's
// file format: sqlite.org/src/file/src/os_unix.c, and wal.c for the -shm.

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
