package scene

import (
	"fmt"
	"time"

	"modernc.org/sqlite/lib"
)

func init() {
	register(Scene{
		Place:  6,
		Name:   "stopped-holder",
		Title:  "a process that holds the write lock is stopped (SIGSTOP): everybody waits",
		Links:  []string{"https://sqlite.org/rescode.html#busy", "https://sqlite.org/pragma.html#pragma_busy_timeout"},
		Unable: unableToStop,
		play:   stoppedHolder,
	})
}

func stoppedHolder(s *stage) {
	s.act("A stops in its transaction, as in a debugger, or after Ctrl-Z", "wal", counter...)
	a, b, c := s.actor("A", 5*time.Second), s.actor("B", 200*time.Millisecond), s.actor("C", 200*time.Millisecond)
	a.does("BEGIN IMMEDIATE", "")
	a.does(write(101), "A has the write lock")
	a.stop("A lives, and does nothing")
	b.starts("BEGIN IMMEDIATE", "")
	c.starts("BEGIN IMMEDIATE", "")
	waited := b.finishes(sqlite3.SQLITE_BUSY, "waits its timeout out; no timeout ends the lock of another")
	c.finishes(sqlite3.SQLITE_BUSY, "")
	b.reads(readRiders, "100", "reading goes on: this is WAL mode")
	a.resume("")
	a.does("COMMIT", "A does not know that it slept")
	b.does("BEGIN IMMEDIATE", "")
	b.reads(readRiders, "101", "")
	b.does("COMMIT", "")

	s.act("the cure, if it does not go on: kill it", "wal", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does("BEGIN IMMEDIATE", "")
	a.does(write(101), "")
	a.stop("")
	b.refused("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, atOnce, "busy timeout 0")
	a.kill("this reaches also what is stopped")
	b.does("BEGIN IMMEDIATE", "free at once, still without any waiting")
	b.reads(readRiders, "100", "what A had not committed is gone")
	b.does("ROLLBACK", "")

	s.explain(
		fmt.Sprintf("A lock belongs to a process, and a stopped process keeps what it has. B waited %s and gave up; with a busy "+
			"timeout of an hour it would have waited an hour. A process that waits for a person, a network or a "+
			"breakpoint inside a transaction looks the same from outside.", waited),
		"Find the holder (`contention watch FILE` names it), and let it go on (kill -CONT, or fg) or kill it: the kernel "+
			"frees its locks, SQLite undoes its unfinished transaction. Keep everything slow out of transactions.")
}
