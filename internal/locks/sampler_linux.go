package locks

// Sampling, on Linux.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A Sampler looks at the locks on one database again and again. It is for one
// goroutine. It may be used in a process that has connections to the database.
type Sampler struct {
	path      string
	table     *os.File // /proc/locks
	buf       []byte
	main, shm target
	wal       fileState
	changed   bool

	commands map[int]string // of the holders in the last sample
	since    map[holdKey]time.Time

	openers []opener // to name the holders of OFD locks
	looked  time.Time
}

// A target is a file that may be locked.
type target struct {
	state fileState
	file  file
	sure  bool
	there bool
}

// NewSampler makes a Sampler of a database, which must exist.
func NewSampler(path string) (*Sampler, error) {
	full, err := resolve(path)
	if err != nil {
		return nil, err
	}
	table, err := os.Open("/proc/locks")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	s := &Sampler{path: full, table: table, buf: make([]byte, 64<<10), commands: map[int]string{}, since: map[holdKey]time.Time{}}
	if err := s.main.look(full); err != nil {
		return nil, errors.Join(fmt.Errorf("locks: %w", err), table.Close())
	}
	return s, nil
}

// Close frees the table.
func (s *Sampler) Close() error { return s.table.Close() }

// Path is the file that is looked at, with symbolic links followed.
func (s *Sampler) Path() string { return s.path }

// Changed says whether the database or its WAL was written to between the last
// two samples.
func (s *Sampler) Changed() bool { return s.changed }

// look takes the state of a file, and its name in the table if it is another
// file than before.
func (t *target) look(path string) error {
	st, err := stat(path)
	if err != nil {
		t.there = false
		return err
	}
	if !t.there || !t.state.same(st) {
		if t.file, t.sure, err = identify(path, st); err != nil {
			t.there = false
			return err
		}
	}
	t.state, t.there = st, true
	return nil
}

// is says whether the entry is a lock on this file.
func (t *target) is(e entry) bool {
	return t.there && e.ino == t.file.ino && (!t.sure || e.dev == t.file.dev)
}

// Sample looks once. If the file is gone the error is fs.ErrNotExist; it may
// come back.
func (s *Sampler) Sample(now time.Time) ([]Lock, error) {
	main, shm, err := s.entries()
	if err != nil {
		return nil, err
	}
	return s.name(now, main, shm), nil
}

// entries reads the locks on the two files from the table.
func (s *Sampler) entries() (main, shm []entry, err error) {
	before, walBefore := s.main.state, s.wal
	if err := s.main.look(s.path); err != nil {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	if err := s.shm.look(s.path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	if s.wal, err = stat(s.path + "-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	s.changed = before != s.main.state || walBefore != s.wal
	for range 2 {
		reads, err := s.read()
		if err != nil {
			return nil, nil, err
		}
		main, shm = main[:0], shm[:0]
		parseTable(s.buf, func(e entry) {
			if s.main.is(e) {
				main = append(main, e)
			} else if s.shm.is(e) {
				shm = append(shm, e)
			}
		})
		// A table of more than a page comes in pieces, and a line may slip through
		// between two while others come and go: what is gone is looked for twice.
		if reads <= 1 || !s.misses(main, shm) {
			break
		}
	}
	return main, shm, nil
}

// misses says whether a holder of the last sample is not among the entries.
func (s *Sampler) misses(main, shm []entry) bool {
	for pid := range s.commands {
		found := false
		for _, e := range main {
			found = found || e.pid == pid || e.ofd
		}
		for _, e := range shm {
			found = found || e.pid == pid
		}
		if !found {
			return true
		}
	}
	return false
}

// read reads the whole table into the buffer and says in how many pieces it came.
func (s *Sampler) read() (pieces int, err error) {
	s.buf = s.buf[:0]
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = append(s.buf, 0)[:len(s.buf)]
		}
		n, err := s.table.ReadAt(s.buf[len(s.buf):cap(s.buf)], int64(len(s.buf)))
		s.buf = s.buf[:len(s.buf)+n]
		if errors.Is(err, io.EOF) {
			return pieces, nil
		}
		if err != nil {
			return 0, fmt.Errorf("locks: %w", err)
		}
		pieces++
	}
}

// name makes locks of the entries: who, and since when.
func (s *Sampler) name(now time.Time, main, shm []entry) []Lock {
	for i := range main {
		if main[i].pid == Unnamed {
			main[i].pid = s.ofdHolder(now, main[i])
		}
	}
	all := decode(main, shm)
	commands, since := make(map[int]string, len(all)), make(map[holdKey]time.Time, len(all))
	for i := range all {
		l := &all[i]
		key := holdKey{l.PID, l.Name.Class()}
		l.Since = now
		if t, ok := s.since[key]; ok {
			l.Since = t
		}
		since[key] = l.Since
		if l.PID <= 0 {
			continue
		}
		c, ok := s.commands[l.PID]
		if !ok {
			c = command(l.PID)
		}
		l.Command, commands[l.PID] = c, c
	}
	s.commands, s.since = commands, since
	return all
}

// often is how often all processes are looked through, which takes
// milliseconds where there are many.
const often = 500 * time.Millisecond

// ofdHolder finds the process behind an open file description's lock, or
// Unnamed.
func (s *Sampler) ofdHolder(now time.Time, e entry) int {
	for fresh := false; ; fresh = true {
		for _, o := range s.openers {
			if o.holdsOFD(e) {
				return o.pid
			}
		}
		if fresh || !s.looked.IsZero() && now.Sub(s.looked) < often {
			return Unnamed
		}
		s.openers, _ = openers(s.path, s.main.state, s.shm.state)
		s.looked = now
	}
}
