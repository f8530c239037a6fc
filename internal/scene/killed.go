package scene

import (
	"bytes"
	"fmt"
	"os"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

var killedHolder = Scene{
	Name:  "killed-holder",
	Title: "a process that holds the write lock is killed in the middle of writing",
	Links: []string{"https://sqlite.org/atomiccommit.html#_hot_rollback_journals", "https://sqlite.org/lockingv3.html#hot_journals"},
	play:  playKilledHolder,
}

const (
	smallCache = "PRAGMA cache_size = 10"
	addToAll   = "UPDATE ride SET riders = riders + 1"
	sumRiders  = "SELECT sum(riders) FROM ride"
)

// rides is a database of about a hundred pages.
var rides = []string{
	"CREATE TABLE ride (riders INTEGER, remark TEXT) STRICT",
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) INSERT INTO ride SELECT 1, hex(zeroblob(200)) FROM n",
}

func playKilledHolder(s *stage) {
	s.act("rollback journal: B cannot even read while A writes", "delete", rides...)
	before := contents(s)
	a, b := s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does(smallCache, "makes A write to the file before COMMIT, like a large transaction")
	a.does("BEGIN IMMEDIATE", "")
	a.does(addToAll, "1000 rows")
	b.refused(sumRiders, sqlite3.SQLITE_BUSY, atOnce, "A holds EXCLUSIVE, and B's busy timeout is 0")
	a.kill("no COMMIT, no ROLLBACK")
	part := changedPages(s, before, "half of a transaction is in the file; the journal has the old pages")
	b.reads(sumRiders, "1000", "the lock was free at once, and B rolled A's transaction back")
	whole := changedPages(s, before, "the file is as before")
	b.does(addToAll, "")
	b.reads(sumRiders, "2000", "")
	if s.err == nil && (part == 0 || whole != 0) {
		s.fail("%d pages were changed after the kill and %d after B read, expected some and none", part, whole)
	}

	s.act("the same in WAL mode: B can read", "wal", rides...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does(smallCache, "")
	a.does("BEGIN IMMEDIATE", "")
	a.does(addToAll, "it goes to the WAL")
	b.reads(sumRiders, "1000", "uncommitted rows are not visible")
	b.refused("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, atOnce, "")
	a.kill("")
	b.does("BEGIN IMMEDIATE", "free at once")
	b.reads(sumRiders, "1000", "")
	b.does(addToAll, "overwrites what A left in the WAL")
	b.does("COMMIT", "")
	b.reads(sumRiders, "2000", "")

	s.explain(
		fmt.Sprintf("The kernel releases the locks of a process when it ends, however it ends, so a crash never leaves a database "+
			"locked. It can leave half of a transaction in the file: %d pages here. The journal beside the file has the old "+
			"pages, and the next connection writes them back before it reads. No process ever sees half a transaction.", part),
		"None is needed. But the -journal or -wal file is a part of the database: do not delete it \"to remove the lock\", and "+
			"do not copy the database without it. Otherwise half of the transaction stays in the file.")
}

// contents reads the database of the act. This process has no connection to it:
// closing the file would release the locks of that connection.
func contents(s *stage) []byte {
	if s.err != nil {
		return nil
	}
	b, err := os.ReadFile(s.path())
	if err != nil {
		s.fail("%w", err)
	}
	return b
}

// changedPages counts the pages that differ from before.
func changedPages(s *stage, before []byte, note string) (changed int) {
	const page = 4096
	s.shell("pages changed in the file", note, func() (string, error) {
		now := contents(s)
		for i := 0; i+page <= min(len(before), len(now)); i += page {
			if !bytes.Equal(before[i:i+page], now[i:i+page]) {
				changed++
			}
		}
		return fmt.Sprintf("%d of %d", changed, len(before)/page), s.err
	})
	return changed
}
