package scene

import (
	"fmt"
	"time"

	"modernc.org/sqlite/lib"
)

func init() {
	register(Scene{
		Place: 2,
		Name:  "snapshot",
		Title: "in WAL mode a reader whose snapshot is old can never write",
		Links: []string{"https://sqlite.org/rescode.html#busy_snapshot", "https://sqlite.org/isolation.html"},
		play:  snapshot,
	})
}

func snapshot(s *stage) {
	s.act("BEGIN, read, write, in WAL mode", "wal", counter...)
	a, b := s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN", "")
	a.reads(readRiders, "100", "A has a snapshot: the database as it is now")
	b.does("BEGIN IMMEDIATE", "")
	b.does(write(150), "")
	a.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "B is writing, and A may not wait while it reads")
	b.does("COMMIT", "")
	a.reads(readRiders, "100", "still A's snapshot, which is old now")
	first := a.refused(write(101), sqlite3.SQLITE_BUSY_SNAPSHOT, atOnce, "101 would wipe out the 50 riders that B counted")
	again := a.refused(write(101), sqlite3.SQLITE_BUSY_SNAPSHOT, atOnce, "nobody has a lock any more, and it fails again, and always will")
	a.does("ROLLBACK", "the whole transaction must be done again")
	a.does("BEGIN", "")
	a.reads(readRiders, "150", "its reading, too, for that is what was out of date")
	a.does(write(151), "")
	a.does("COMMIT", "")

	s.act("the cure: BEGIN IMMEDIATE", "wal", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN IMMEDIATE", "A has the write lock and, with it, the newest snapshot")
	a.reads(readRiders, "100", "")
	b.starts("BEGIN IMMEDIATE", "")
	a.does(write(101), "")
	a.does("COMMIT", "")
	queued := b.finishes(sqlite3.SQLITE_OK, "")
	b.reads(readRiders, "101", "")
	b.does(write(151), "")
	b.does("COMMIT", "")
	a.reads(readRiders, "151", "all riders are counted")

	s.explain(
		fmt.Sprintf("A read before B wrote, and wanted to write after. SQLite refuses that with 517, an extended code of "+
			"5 BUSY and with the same words, \"database is locked\", although nothing is locked any more. "+
			"Neither a longer busy timeout helps nor repeating the statement (refused after %s, and again after %s).", first, again),
		fmt.Sprintf("BEGIN IMMEDIATE where a transaction will write: B waited %s in the second act and read the newest number. "+
			"Where that can't be, roll back on 517 and do the whole transaction again, its reading included.", queued))
}
