package scene

import (
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

var snapshot = Scene{
	Name:  "snapshot",
	Title: "in WAL mode a transaction with an old snapshot can never write",
	Links: []string{"https://sqlite.org/rescode.html#busy_snapshot", "https://sqlite.org/isolation.html"},
	play:  playSnapshot,
}

func playSnapshot(s *stage) {
	s.act("BEGIN, read, write, in WAL mode", "wal", counter...)
	a, b := s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN", "")
	a.reads(readRiders, "100", "A has a snapshot: the database as it is now")
	b.does("BEGIN IMMEDIATE", "")
	b.does(write(150), "")
	a.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "B holds the write lock, and A must not wait for it while A reads")
	b.does("COMMIT", "")
	a.reads(readRiders, "100", "still A's snapshot, which is now old")
	first := a.refused(write(101), sqlite3.SQLITE_BUSY_SNAPSHOT, atOnce, "101 would overwrite the 50 riders that B counted")
	again := a.refused(write(101), sqlite3.SQLITE_BUSY_SNAPSHOT, atOnce, "nobody holds a lock any more, and every retry fails")
	a.does("ROLLBACK", "A has to repeat the whole transaction")
	a.does("BEGIN", "")
	a.reads(readRiders, "150", "including the read, which was out of date")
	a.does(write(151), "")
	a.does("COMMIT", "")

	s.act("the cure: BEGIN IMMEDIATE", "wal", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN IMMEDIATE", "A holds the write lock and the newest snapshot")
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
		fmt.Sprintf("A read before B wrote, and then wanted to write. SQLite refuses that with 517, an extended code of 5 "+
			"SQLITE_BUSY. The message is the same, \"database is locked\", although nobody holds a lock any more. A longer "+
			"busy timeout does not help. Repeating the statement does not help (refused after %s, and again after %s).", first, again),
		fmt.Sprintf("Use BEGIN IMMEDIATE where a transaction will write: B waited %s in the second act and then read the newest "+
			"number. Where that is not possible, roll back on 517 and repeat the whole transaction, including its reads.", queued))
}
