package locks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Watcher sees more than a Sampler: the journal mode, and locks whose holders
// the table hides. It opens the database: it must run in a process that has no
// connection to it. It is for one goroutine.
type Watcher struct {
	*Sampler
	network string
	mode    string
	modeAt  time.Time
	main    probe
	shm     probe

	readSince map[readKey]time.Time // of the readers in the last look
}

// readKey identifies a snapshot.
type readKey struct {
	pid   int
	frame uint32
}

// NewWatcher returns a Watcher for a database, which must exist.
func NewWatcher(path string) (*Watcher, error) {
	s, err := NewSampler(path)
	if err != nil {
		return nil, err
	}
	w := &Watcher{Sampler: s, mode: Unknown}
	w.network, _ = NetworkFileSystem(s.path)
	if err := w.readMode(time.Now()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return w, nil
}

// Close closes the database.
func (w *Watcher) Close() error {
	return errors.Join(w.main.close(), w.shm.close(), w.Sampler.Close())
}

// readMode reads the journal mode, which a connection may change at any time.
func (w *Watcher) readMode(now time.Time) (err error) {
	w.modeAt = now
	w.mode, err = Mode(w.path)
	return err
}

// Look returns what there is to see now. It fails with fs.ErrNotExist while the
// file does not exist.
func (w *Watcher) Look(now time.Time) (View, error) {
	main, shm, err := w.readEntries()
	if err != nil {
		return View{}, err
	}
	if now.Sub(w.modeAt) >= time.Second {
		// A header that is being written may look wrong. Keep the last mode then,
		// and read it again a second later.
		if err := w.readMode(now); err != nil && !errors.Is(err, ErrNotDatabase) {
			return View{}, err
		}
	}
	hiddenMain, err := w.main.findHidden(w.path, &w.Sampler.main, main, mainRanges)
	if err != nil {
		return View{}, err
	}
	hiddenShm, err := w.shm.findHidden(w.path+"-shm", &w.Sampler.shm, shm, shmRanges)
	if err != nil {
		return View{}, err
	}
	main, shm = slices.Concat(main, hiddenMain), slices.Concat(shm, hiddenShm)
	v := View{Mode: w.mode, Changed: w.Changed(), Locks: w.toLocks(now, main, shm)}
	if w.mode == WAL {
		v.WAL = w.walState(now, shm)
	}
	for i := range v.Locks {
		v.Locks[i].Idle = v.Locks[i].Name == Exclusive && w.noTransaction()
	}
	v.addNotes(w.Sampler.main.deviceKnown, w.network)
	return v, nil
}

// noTransaction reports whether no write transaction is open, although a process
// holds the exclusive lock. In WAL mode that lock means locking_mode=EXCLUSIVE,
// and a transaction shows as writes to the WAL. In rollback mode a transaction
// that has written has a journal, unless journal_mode is MEMORY or OFF.
func (w *Watcher) noTransaction() bool {
	if w.changed {
		return false
	}
	if w.mode == WAL {
		return true
	}
	return !hotJournal(w.path + "-journal")
}

// journalHeader is the size of a journal's header without its padding. SQLite
// overwrites it with zeros when a transaction ends and the journal stays.
const journalHeader = 28

// hotJournal reports whether a transaction uses the journal.
func hotJournal(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) // not readable: there may be one
	}
	defer f.Close() // only read
	var head [journalHeader]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return true
	}
	// The magic number at the start is missing until the first sync, the rest is not.
	return head != [journalHeader]byte{} && n > 0
}

// walState reads the state of the WAL from the -shm file, if there is one.
func (w *Watcher) walState(now time.Time, shm []entry) *WALState {
	if w.shm.file == nil {
		return nil
	}
	h, ok := readSHM(w.shm.file)
	if !ok {
		return nil
	}
	state := &WALState{Size: w.wal.size, PageSize: h.pageSize, Frames: h.frames, Copied: h.copied, Readers: h.readers(shm)}
	since := make(map[readKey]time.Time, len(state.Readers))
	for i := range state.Readers {
		r := &state.Readers[i]
		if r.PID > 0 {
			r.Command = w.commands[r.PID] // toLocks has named every holder
		}
		key := readKey{r.PID, r.Frame}
		r.Since = now
		if t, ok := w.readSince[key]; ok {
			r.Since = t
		}
		// Frames were committed after its snapshot, so it began before the last of
		// these was written. (That can be wrong only where all slots were taken and it
		// had to share one with an older reader that has ended since.)
		if written := time.Unix(w.wal.changed.Unix()); r.Pinned > 0 && w.wal.size > 0 && written.Before(r.Since) {
			r.Since = written
		}
		since[key] = r.Since
	}
	w.readSince = since
	return state
}

// readSHM reads the header until two reads agree. No lock is taken for it, so a
// writer may change it meanwhile.
func readSHM(f *os.File) (shmHeader, bool) {
	var one, two [shmHeaderSize]byte
	for range 5 {
		if _, err := f.ReadAt(one[:], 0); err != nil {
			return shmHeader{}, false
		}
		if _, err := f.ReadAt(two[:], 0); err != nil {
			return shmHeader{}, false
		}
		// The lock bytes and what follows them do not matter.
		if h, ok := parseSHM(one[:]); ok && string(one[:120]) == string(two[:120]) {
			return h, true
		}
	}
	return shmHeader{}, false
}

// Open returns the processes that have the database open and hold none of the
// locks. unreadable is the number of processes of other users whose descriptors
// may not be read.
func (w *Watcher) Open(held []Lock) (open []Process, unreadable int) {
	found, unreadable := openers(w.path, w.Sampler.main.state, w.Sampler.shm.state)
	for _, p := range found {
		if !slices.ContainsFunc(held, func(l Lock) bool { return l.PID == p.PID }) {
			open = append(open, p)
		}
	}
	return open, unreadable
}

type byteRange struct{ first, last uint64 }

var (
	mainRanges = []byteRange{{pendingByte, pendingByte}, {reservedByte, reservedByte}, {sharedFirst, sharedLast}}
	shmRanges  = []byteRange{
		{walWriteByte, walWriteByte},
		{walCheckpointByte, walCheckpointByte},
		{walRecoverByte, walRecoverByte},
		{walReadFirst, walReadFirst},
		{walReadFirst + 1, walReadFirst + 1},
		{walReadFirst + 2, walReadFirst + 2},
		{walReadFirst + 3, walReadFirst + 3},
		{walReadLast, walReadLast},
		{walInUseByte, walInUseByte},
	}
)

// probe asks the kernel which lock would conflict with ours (F_GETLK). The
// answer includes holders that the table hides, with PID 0.
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

// open keeps the file open as long as the path names the same file.
func (p *probe) open(path string, f *lockFile) error {
	if !f.exists || p.file != nil && !p.state.sameFile(f.state) {
		if err := p.close(); err != nil {
			return fmt.Errorf("locks: %w", err)
		}
	}
	if !f.exists || p.file != nil {
		return nil
	}
	opened, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // deleted since; the next look sees that
	}
	if err != nil {
		return fmt.Errorf("locks: %w", err)
	}
	p.file, p.state = opened, f.state
	return nil
}

// findHidden returns the locks on a file that the table does not show.
func (p *probe) findHidden(path string, f *lockFile, seen []entry, ranges []byteRange) ([]entry, error) {
	if err := p.open(path, f); err != nil || p.file == nil {
		return nil, err
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
		if slices.ContainsFunc(seen, func(e entry) bool { return e.overlaps(r.first, r.last) }) {
			continue // the table names its holder
		}
		e := entry{fileID: f.id, pid: Hidden, write: l.Type == unix.F_WRLCK, from: uint64(l.Start), to: uint64(l.Start + l.Len - 1)}
		if l.Len == 0 {
			e.to = uint64(1)<<63 - 1
		}
		found = append(found, e)
	}
	return found, nil
}
