package locks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Sampler reads the locks on one database again and again. It is for one
// goroutine. It may run in a process that has connections to the database.
type Sampler struct {
	path      string
	table     *os.File // /proc/locks
	buf       []byte
	main, shm lockFile
	wal       fileState
	changed   bool

	commands map[int]string // of the holders in the last sample
	since    map[holdKey]time.Time
}

// NewSampler returns a Sampler for a database, which must exist.
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
	if err := s.main.refresh(full); err != nil {
		return nil, errors.Join(fmt.Errorf("locks: %w", err), table.Close())
	}
	return s, nil
}

// Close closes the table.
func (s *Sampler) Close() error { return s.table.Close() }

// Path returns the path of the database without symbolic links.
func (s *Sampler) Path() string { return s.path }

// Changed reports whether the database or its WAL was written to between the
// last two samples.
func (s *Sampler) Changed() bool { return s.changed }

// Sample returns the locks held now. It fails with fs.ErrNotExist while the
// file does not exist.
func (s *Sampler) Sample(now time.Time) ([]Lock, error) {
	main, shm, err := s.readEntries()
	if err != nil {
		return nil, err
	}
	return s.toLocks(now, main, shm), nil
}

// readEntries reads the locks on the two files from the table.
func (s *Sampler) readEntries() (main, shm []entry, err error) {
	mainBefore, walBefore := s.main.state, s.wal
	if err := s.main.refresh(s.path); err != nil {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	if err := s.shm.refresh(s.path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	if s.wal, err = stat(s.path + "-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("locks: %w", err)
	}
	s.changed = mainBefore != s.main.state || walBefore != s.wal
	for range 2 {
		pieces, err := s.readTable()
		if err != nil {
			return nil, nil, err
		}
		main, shm = main[:0], shm[:0]
		parseTable(s.buf, func(e entry) {
			if s.main.matches(e) {
				main = append(main, e)
			} else if s.shm.matches(e) {
				shm = append(shm, e)
			}
		})
		// A table of more than a page comes in pieces. Other locks that come and go
		// between two pieces can move a line out of sight, so a lock that seems to be
		// gone is looked for once more.
		if pieces <= 1 || !s.lostLock(main, shm) {
			break
		}
	}
	return main, shm, nil
}

// lostLock reports whether a lock of the last sample is missing from the entries.
func (s *Sampler) lostLock(main, shm []entry) bool {
	found := map[holdKey]bool{}
	for _, l := range decode(main, shm) {
		found[holdKey{l.PID, l.Name.Class()}] = true
	}
	for key := range s.since {
		if !found[key] {
			return true
		}
	}
	return false
}

// readTable reads the whole table into the buffer. It returns the number of
// pieces that the kernel delivered it in.
func (s *Sampler) readTable() (pieces int, err error) {
	s.buf = s.buf[:0]
	if _, err := s.table.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("locks: %w", err)
	}
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = append(s.buf, 0)[:len(s.buf)]
		}
		n, err := s.table.Read(s.buf[len(s.buf):cap(s.buf)]) // one piece; ReadAt would join them
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

// toLocks decodes the entries and adds commands and times.
func (s *Sampler) toLocks(now time.Time, main, shm []entry) []Lock {
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
			c = commandLine(l.PID)
		}
		l.Command, commands[l.PID] = c, c
	}
	s.commands, s.since = commands, since
	return all
}
