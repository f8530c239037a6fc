package scene

import (
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"turnstile/internal/child"
)

var stoppedHolder = Scene{
	Name:        "stopped-holder",
	Title:       "a process that holds the write lock is stopped (SIGSTOP): all others wait",
	Links:       []string{"https://sqlite.org/rescode.html#busy", "https://sqlite.org/pragma.html#pragma_busy_timeout"},
	Unsupported: child.PauseUnsupported,
	play:        playStoppedHolder,
}

func playStoppedHolder(s *stage) {
	s.act("A is stopped in its transaction, as by a debugger or Ctrl-Z", "wal", counter...)
	a, b, c := s.actor("A", 5*time.Second), s.actor("B", 200*time.Millisecond), s.actor("C", 200*time.Millisecond)
	a.does("BEGIN IMMEDIATE", "")
	a.does(write(101), "A holds the write lock")
	a.stop("A keeps its lock and does nothing")
	b.starts("BEGIN IMMEDIATE", "")
	c.starts("BEGIN IMMEDIATE", "")
	waited := b.finishes(sqlite3.SQLITE_BUSY, "a busy timeout ends B's wait; it does not end A's lock")
	c.finishes(sqlite3.SQLITE_BUSY, "")
	b.reads(readRiders, "100", "B can still read: this is WAL mode")
	a.resume("")
	a.does("COMMIT", "A does not know that it was stopped")
	b.does("BEGIN IMMEDIATE", "")
	b.reads(readRiders, "101", "")
	b.does("COMMIT", "")

	s.act("the cure, if nobody continues it: kill it", "wal", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 0)
	a.does("BEGIN IMMEDIATE", "")
	a.does(write(101), "")
	a.stop("")
	b.refused("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, atOnce, "busy timeout 0")
	a.kill("KILL works on a stopped process as well")
	b.does("BEGIN IMMEDIATE", "the lock is free at once")
	b.reads(readRiders, "100", "A's uncommitted write is gone")
	b.does("ROLLBACK", "")

	s.explain(
		fmt.Sprintf("A lock belongs to a process, and a stopped process keeps its locks. B waited %s and gave up. With a busy "+
			"timeout of an hour it would have waited an hour. A process that waits inside a transaction for a person, a "+
			"network or a breakpoint looks the same from outside.", waited),
		"Find the holder and continue it (kill -CONT, or fg), or kill it: the kernel releases its locks, and SQLite rolls "+
			"its transaction back. Do nothing slow inside a transaction.")
}
