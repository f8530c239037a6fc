package scene

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"turnstile/internal/locks"
)

var checkpoint = Scene{
	Name:  "checkpoint",
	Title: "in WAL mode one open reader lets the WAL grow until the reader ends",
	Links: []string{"https://sqlite.org/wal.html#avoiding_excessively_large_wal_files", "https://sqlite.org/pragma.html#pragma_wal_checkpoint"},
	play:  playCheckpoint,
}

const (
	walWrites  = 12
	addPages   = "INSERT INTO ride VALUES (zeroblob(1048576))"
	truncate   = "PRAGMA wal_checkpoint(TRUNCATE)"
	countPages = "SELECT count(*) FROM ride"
)

func playCheckpoint(s *stage) {
	table := "CREATE TABLE ride (page BLOB)"
	s.act("a reader keeps its transaction open", "wal", table)
	r, w := s.actor("R", 5*time.Second), s.actor("W", 200*time.Millisecond)
	w.does(addPages, "1 MiB")
	r.does("BEGIN", "")
	r.reads(countPages, "1", "R has a snapshot and keeps it")
	large := grow(s, w, nil)
	whoPins(s, "no checkpoint can copy a frame that is newer than R's snapshot")
	if answer := w.asks(truncate, "first number 1: refused after the busy timeout, without an error"); s.err == nil && !strings.HasPrefix(answer, "1|") {
		s.fail("%s returned %q under a reader, expected it to begin with 1", truncate, answer)
	}
	r.does("COMMIT", "")
	whoPins(s, "")
	w.reads(truncate, "0|0|0", "first number 0: done, the whole WAL is in the database")
	if n := walSize(s, ""); n != 0 {
		s.fail("the WAL has %d bytes after the checkpoint, expected 0", n)
	}

	s.act("the cure: readers that end", "wal", table)
	r, w = s.actor("R", 5*time.Second), s.actor("W", 5*time.Second)
	w.does(addPages, "1 MiB")
	small := grow(s, w, r)

	if s.err == nil && large < 2*small {
		s.fail("the WAL grew to %d bytes with a reader and to %d without, expected at least twice as many", large, small)
	}
	s.explain(
		fmt.Sprintf("A commit goes to the WAL (the -wal file) first. Every 1000 pages SQLite copies the WAL into the database, a "+
			"checkpoint, and starts the WAL again from its beginning. It cannot do so while a reader needs an older state: the "+
			"same writes left a WAL of %s here, and of %s with readers that end. No process is refused meanwhile, but the disk fills.",
			size(large), size(small)),
		"End read transactions: close the cursor and commit, also after an error, and before the process waits for a person or a "+
			"network. PRAGMA wal_checkpoint(TRUNCATE) then empties the WAL. Check the first number it returns: it reports failure "+
			"there and not as an error.")
}

// grow makes the rest of the writes and returns the size of the WAL. If reader
// is not nil, it reads after each write.
func grow(s *stage, w, reader *actor) int64 {
	note := ""
	if reader != nil {
		note = "after each of them R reads and ends its transaction"
	}
	w.repeats(walWrites-1, addPages, note, func() {
		if reader != nil {
			reader.unrecorded(countPages)
		}
	})
	return walSize(s, "")
}

// whoPins looks from outside which actor pins the WAL. This process has no
// connection to the database, as a Watcher demands.
func whoPins(s *stage, note string) {
	s.shell("who pins the WAL", note, func() (text string, err error) {
		w, err := locks.NewWatcher(s.path())
		if errors.Is(err, locks.ErrUnsupported) {
			return "not available on this system", nil
		}
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		v, err := w.Look(time.Now())
		if err != nil || v.WAL == nil || v.WAL.Pinned() == 0 {
			return "nobody", err
		}
		r := v.WAL.Readers[0] // the one that pins the most
		for name, p := range s.processes {
			if p.PID() == r.PID {
				return fmt.Sprintf("%s pins %s", name, size(v.WAL.Bytes(r.Pinned))), nil
			}
		}
		return fmt.Sprintf("process %d pins %s", r.PID, size(v.WAL.Bytes(r.Pinned))), nil
	})
}

// walSize returns the size of the WAL. It does not open the file.
func walSize(s *stage, note string) (bytes int64) {
	s.shell("size of the -wal file", note, func() (string, error) {
		info, err := os.Stat(s.path() + "-wal")
		if err != nil {
			return "", err
		}
		bytes = info.Size()
		return size(bytes), nil
	})
	return bytes
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
