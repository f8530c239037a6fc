package scene

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"modernc.org/sqlite/lib"
)

func init() {
	register(Scene{
		Place: 5,
		Name:  "killed-holder",
		Title: "a process that holds the write lock is killed in the middle of writing",
		Links: []string{"https://sqlite.org/atomiccommit.html#_hot_rollback_journals", "https://sqlite.org/lockingv3.html#hot_journals"},
		play:  killedHolder,
	})
}

const (
	smallCache = "PRAGMA cache_size = 10"
	addToAll   = "UPDATE ride SET riders = riders + 1"
	sumRiders  = "SELECT sum(riders) FROM ride"
)

// rides is a database of some hundred pages.
var rides = []string{
	"CREATE TABLE ride (riders INTEGER, remark TEXT) STRICT",
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) INSERT INTO ride SELECT 1, hex(zeroblob(200)) FROM n",
}

func killedHolder(s *stage) {
	s.act("rollback journal: B may not even read while A writes", "delete", rides...)
	before := contents(s)
	a, b := s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does(smallCache, "so that A writes to the file before its COMMIT, as a large transaction does")
	a.does("BEGIN IMMEDIATE", "")
	a.does(addToAll, "1000 rows")
	b.refused(sumRiders, sqlite3.SQLITE_BUSY, atOnce, "A has EXCLUSIVE, and B's busy timeout is 0")
	a.kill("no COMMIT, no ROLLBACK, no farewell")
	part := changedPages(s, before, "a part of A's transaction is in the file, and how to undo it in the journal")
	b.reads(sumRiders, "1000", "the lock was free at once, and before it read, B undid A's part")
	whole := changedPages(s, before, "the file is as it was")
	b.does(addToAll, "")
	b.reads(sumRiders, "2000", "")
	if s.err == nil && (part == 0 || whole != 0) {
		s.fail("%d pages were changed after the kill, and %d after B read: some and none are wanted", part, whole)
	}

	s.act("the same in WAL mode: B reads on", "wal", rides...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does(smallCache, "")
	a.does("BEGIN IMMEDIATE", "")
	a.does(addToAll, "its part goes to the log")
	b.reads(sumRiders, "1000", "what is not committed is not seen")
	b.refused("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, atOnce, "")
	a.kill("")
	b.does("BEGIN IMMEDIATE", "free at once")
	b.reads(sumRiders, "1000", "")
	b.does(addToAll, "over A's part in the log")
	b.does("COMMIT", "")
	b.reads(sumRiders, "2000", "")

	s.explain(
		fmt.Sprintf("The kernel frees the locks of a process that ends, however it ends, so a crash never leaves a database "+
			"locked. It can leave a transaction that is partly in the file: %d pages here. The journal beside the file says "+
			"how they were, and whoever comes next puts them back before reading. Nobody ever sees the part.", part),
		"Nothing is to be cured, if the journal is left where it is: a -journal or -wal file is a part of the database. "+
			"Who deletes it \"to remove the lock\", or copies the database without it, makes the part stay.")
}

// contents reads the file of the act, which no connection of this process has
// open: closing it would drop that connection's locks.
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

// changedPages compares the file with what it was.
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
