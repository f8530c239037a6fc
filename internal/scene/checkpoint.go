package scene

import (
	"fmt"
	"os"
	"strings"
	"time"
)

func init() {
	register(Scene{
		Place: 4,
		Name:  "checkpoint",
		Title: "in WAL mode one open reader lets the log grow until it ends",
		Links: []string{"https://sqlite.org/wal.html#avoiding_excessively_large_wal_files", "https://sqlite.org/pragma.html#pragma_wal_checkpoint"},
		play:  checkpoint,
	})
}

const (
	logWrites  = 12
	addPages   = "INSERT INTO ride VALUES (zeroblob(1048576))"
	truncate   = "PRAGMA wal_checkpoint(TRUNCATE)"
	countPages = "SELECT count(*) FROM ride"
)

func checkpoint(s *stage) {
	table := "CREATE TABLE ride (page BLOB)"
	s.act("a reader stays", "wal", table)
	r, w := s.actor("R", 5*time.Second), s.actor("W", 200*time.Millisecond)
	w.does(addPages, "1 MiB")
	r.does("BEGIN", "")
	r.reads(countPages, "1", "R has a snapshot, and does not end its transaction")
	large := grow(s, w, nil)
	if answer := w.asks(truncate, "first number 1: refused, after the busy timeout, and without an error"); s.err == nil && !strings.HasPrefix(answer, "1|") {
		s.fail("%s answered %q under a reader, and must begin with 1", truncate, answer)
	}
	r.does("COMMIT", "")
	w.reads(truncate, "0|0|0", "0: done; all is in the database now")
	if n := logSize(s, ""); n != 0 {
		s.fail("the log has %d bytes after the checkpoint, and must be empty", n)
	}

	s.act("the cure: readers that end", "wal", table)
	r, w = s.actor("R", 5*time.Second), s.actor("W", 5*time.Second)
	w.does(addPages, "1 MiB")
	small := grow(s, w, r)

	if s.err == nil && large < 2*small {
		s.fail("the log grew to %d bytes with a reader and to %d without, and should at least double", large, small)
	}
	s.explain(
		fmt.Sprintf("What is committed goes to the log (-wal) first, and every 1000 pages SQLite copies it into the database and "+
			"starts the log again from its beginning. It can't while a reader needs the log as it was when it began: "+
			"the same writes left %s here, and %s with readers that end. Nobody is locked out meanwhile; the disk fills.",
			size(large), size(small)),
		"End read transactions: close the cursor, commit, also after an error and before waiting for a person or a network. "+
			"`contention watch FILE` shows who reads. PRAGMA wal_checkpoint(TRUNCATE) then empties the log; read the first "+
			"number it returns, for it fails without an error.")
}

// grow makes the rest of the writes, with a read after each if there is a
// reader, and returns the size of the log.
func grow(s *stage, w, reader *role) int64 {
	note := ""
	if reader != nil {
		note = "after each of them R reads, and ends"
	}
	w.repeats(logWrites-1, addPages, note, func() {
		if reader != nil {
			reader.quietly(countPages)
		}
	})
	return logSize(s, "")
}

// logSize looks how long the log is. Looking does no harm: it is not opened.
func logSize(s *stage, note string) (bytes int64) {
	s.shell("size of the log (-wal)", note, func() (string, error) {
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
