package locks

// The kernel's table of locks has one line a lock:
//
//	1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 1073741825 1073741825
//	2: OFDLCK ADVISORY  READ -1 fd:00:2531452 1073741826 1073742335
//	2: -> POSIX  ADVISORY  WRITE 3601 fd:00:2531452 0 EOF
//
// The third line is a waiter for the second and holds nothing.

import (
	"bytes"
	"math"
)

// fileID identifies a file as the table does.
type fileID struct {
	dev uint64 // major << 32 | minor
	ino uint64
}

// entry is a lock on a range of bytes, both ends included.
type entry struct {
	fileID
	pid      int
	write    bool
	from, to uint64
}

func (e entry) overlaps(first, last uint64) bool { return e.from <= last && e.to >= first }

// parseTable calls each for every lock held on a range of bytes. It ignores
// lines that it does not know, because kernels may add new kinds.
func parseTable(table []byte, each func(entry)) {
	for line := range bytes.Lines(table) {
		if e, ok := parseLine(line); ok {
			each(e)
		}
	}
}

func parseLine(line []byte) (entry, bool) {
	var e entry
	_, line = nextWord(line) // the ordinal
	kind, line := nextWord(line)
	if k := string(kind); k != "POSIX" && k != "OFDLCK" {
		return e, false // flock, a lease, or "->", a waiter
	}
	_, line = nextWord(line) // ADVISORY
	access, line := nextWord(line)
	pid, line := nextWord(line)
	where, line := nextWord(line)
	from, line := nextWord(line)
	to, _ := nextWord(line)
	e.write = string(access) == "WRITE"
	var ok [4]bool
	e.pid, ok[0] = parseInt(pid)
	e.fileID, ok[1] = parseFileID(where)
	e.from, ok[2] = parseUint(from, 10)
	if string(to) == "EOF" {
		e.to, ok[3] = math.MaxUint64, true
	} else {
		e.to, ok[3] = parseUint(to, 10)
	}
	return e, ok == [4]bool{true, true, true, true}
}

// parseFileID reads major:minor:inode; major and minor are hexadecimal.
func parseFileID(where []byte) (fileID, bool) {
	major, rest, ok1 := bytes.Cut(where, []byte{':'})
	minor, inode, ok2 := bytes.Cut(rest, []byte{':'})
	a, ok3 := parseUint(major, 16)
	b, ok4 := parseUint(minor, 16)
	i, ok5 := parseUint(inode, 10)
	return fileID{a<<32 | b, i}, ok1 && ok2 && ok3 && ok4 && ok5
}

// nextWord splits off the first word.
func nextWord(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t\n"); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

func parseInt(word []byte) (int, bool) {
	digits := bytes.TrimPrefix(word, []byte{'-'})
	n, ok := parseUint(digits, 10)
	if len(digits) < len(word) {
		return -int(n), ok
	}
	return int(n), ok
}

// parseUint is strconv.ParseUint for bytes. It does not allocate: a sampler
// reads the whole table a hundred times a second.
func parseUint(digits []byte, base uint64) (n uint64, ok bool) {
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
