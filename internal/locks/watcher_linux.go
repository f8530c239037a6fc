package locks

// A closer look, for a process that has no connection to the database.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A Watcher sees more than a Sampler: the journal mode, and locks that the
// table hides. For that it opens the database: see the package's doc. It is
// for one goroutine.
type Watcher struct {
	*Sampler
	network string
	mode    string
	modeAt  time.Time
	main    probe
	shm     probe
}

// NewWatcher makes a Watcher of a database, which must exist.
func NewWatcher(path string) (*Watcher, error) {
	s, err := NewSampler(path)
	if err != nil {
		return nil, err
	}
	w := &Watcher{Sampler: s, mode: Unknown}
	w.network, _ = remote(s.path)
	if err := w.readMode(time.Now()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return w, nil
}

// Close closes the database.
func (w *Watcher) Close() error {
	return errors.Join(w.main.close(), w.shm.close(), w.Sampler.Close())
}

// readMode reads the mode now and then: a connection may change it.
func (w *Watcher) readMode(now time.Time) (err error) {
	w.modeAt = now
	w.mode, err = Mode(w.path)
	return err
}

// Look looks once. If the file is gone the error is fs.ErrNotExist; it may
// come back.
func (w *Watcher) Look(now time.Time) (View, error) {
	main, shm, err := w.entries()
	if err != nil {
		return View{}, err
	}
	if now.Sub(w.modeAt) >= time.Second {
		// While a header is being written it may look wrong: a file that was a
		// database stays one, until it is looked at the next time.
		if err := w.readMode(now); err != nil && !errors.Is(err, ErrNotDatabase) {
			return View{}, err
		}
	}
	hiddenMain, err := w.main.hidden(w.path, &w.Sampler.main, main, mainRanges)
	if err != nil {
		return View{}, err
	}
	hiddenShm, err := w.shm.hidden(w.path+"-shm", &w.Sampler.shm, shm, shmRanges)
	if err != nil {
		return View{}, err
	}
	v := View{Mode: w.mode, Changed: w.Changed()}
	v.Locks = w.name(now, slices.Concat(main, hiddenMain), slices.Concat(shm, hiddenShm))
	v.note(w.Sampler.main.sure, w.network)
	return v, nil
}

// Open lists the processes that have the database open and hold none of the
// locks, and says how many processes of other users it could not look at.
func (w *Watcher) Open(held []Lock) (open []Process, barred int) {
	found, barred := openers(w.path, w.Sampler.main.state, w.Sampler.shm.state)
	for _, o := range found {
		if !slices.ContainsFunc(held, func(l Lock) bool { return l.PID == o.pid }) {
			open = append(open, Process{o.pid, o.command, stopped(o.pid)})
		}
	}
	return open, barred
}

// Stopped says whether a process is stopped: it can't let go of anything.
func Stopped(pid int) bool { return pid > 0 && stopped(pid) }

type byteRange struct{ first, last uint64 }

var (
	mainRanges = []byteRange{{pendingByte, pendingByte}, {reservedByte, reservedByte}, {sharedFirst, sharedLast}}
	shmRanges  = []byteRange{
		{walWriteByte, walWriteByte},
		{walCheckpointByte, walCheckpointByte},
		{walRecoverByte, walRecoverByte},
		{walReadFirst, walReadLast},
		{walInUseByte, walInUseByte},
	}
)

// A probe asks the kernel what would be in the way of a lock. The kernel
// answers also about holders that the table hides, with process number 0.
type probe struct {
	file  *os.File
	state fileState
}

func (p *probe) close() error {
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}

// hidden finds the locks on a file that are not among the entries.
func (p *probe) hidden(path string, t *target, seen []entry, ranges []byteRange) ([]entry, error) {
	if !t.there || p.file != nil && !p.state.same(t.state) {
		if err := p.close(); err != nil {
			return nil, fmt.Errorf("locks: %w", err)
		}
	}
	if !t.there {
		return nil, nil
	}
	if p.file == nil {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil // deleted since; the next look knows
		}
		if err != nil {
			return nil, fmt.Errorf("locks: %w", err)
		}
		p.file, p.state = f, t.state
	}
	var found []entry
	for _, r := range ranges {
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(r.first), Len: int64(r.last-r.first) + 1}
		if err := unix.FcntlFlock(p.file.Fd(), unix.F_GETLK, &l); err != nil {
			return nil, fmt.Errorf("locks: ask about %s: %w", path, err)
		}
		if l.Type == unix.F_UNLCK || l.Pid != Hidden {
			continue
		}
		if slices.ContainsFunc(seen, func(e entry) bool { return e.on(r.first, r.last) }) {
			continue // the table knows whose it is
		}
		e := entry{file: t.file, pid: Hidden, write: l.Type == unix.F_WRLCK, from: uint64(l.Start), to: uint64(l.Start + l.Len - 1)}
		if l.Len == 0 {
			e.to = uint64(1)<<63 - 1
		}
		found = append(found, e)
	}
	return found, nil
}
