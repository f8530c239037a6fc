package scene

import (
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

var deadlock = Scene{
	Name:  "deadlock",
	Title: "two processes read, then want to write: a busy timeout does not help",
	Links: []string{"https://sqlite.org/c3ref/busy_handler.html", "https://sqlite.org/lockingv3.html#locking"},
	play:  playDeadlock,
}

// playDeadlock uses rollback mode, SQLite's default, in which a reader keeps a
// writer from committing.
func playDeadlock(s *stage) {
	s.act("BEGIN, read, write", "delete", counter...)
	a, b := s.actor("A", 200*time.Millisecond), s.actor("B", 5*time.Second)
	a.does("BEGIN", "")
	b.does("BEGIN", "BEGIN alone takes no lock")
	a.reads(readRiders, "100", "A holds the SHARED lock")
	b.reads(readRiders, "100", "so does B: readers do not block each other")
	a.does(write(101), "A holds RESERVED: only A may write now")
	refused := b.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "a deadlock, because B reads as well: SQLite refuses B without waiting")
	waited := a.refused("COMMIT", sqlite3.SQLITE_BUSY, wholeTimeout, "A needs EXCLUSIVE, but B still holds SHARED")
	b.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "B needs RESERVED, but A holds it: a retry does not help")
	b.does("ROLLBACK", "the only way out: one of them gives up its transaction")
	a.does("COMMIT", "")

	s.act("the cure: BEGIN IMMEDIATE", "delete", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN IMMEDIATE", "A holds RESERVED before it reads")
	b.starts("BEGIN IMMEDIATE", "B holds no lock yet, so it can wait without blocking A")
	a.reads(readRiders, "100", "")
	a.does(write(101), "")
	a.does("COMMIT", "")
	queued := b.finishes(sqlite3.SQLITE_OK, "B's turn")
	b.reads(readRiders, "101", "B reads what A wrote")
	b.does(write(102), "")
	b.does("COMMIT", "")
	a.reads(readRiders, "102", "both riders are counted")

	s.explain(
		fmt.Sprintf("Each process held the lock that the other needed. A could not commit while B read. B could not write "+
			"while A was about to commit. Waiting does not end a deadlock, so SQLite refused B after %s, although B's busy "+
			"timeout is 5 s. A waited for its whole busy timeout (%s) in vain. \"database is locked\" at once, in spite of "+
			"a busy timeout, is the sign of a deadlock.", refused, waited),
		fmt.Sprintf("Start each transaction that will write with BEGIN IMMEDIATE. It waits at the start, where the process "+
			"holds no lock, and there the busy timeout works. In the second act B waited %s and nobody was refused.", queued))
}

// counter is a database in which a process counts a rider: it reads the number
// and writes it back. The scenes show how a rider is lost that way.
var counter = []string{
	"CREATE TABLE station (name TEXT, riders INTEGER) STRICT",
	"INSERT INTO station VALUES ('Times Sq-42 St', 100)",
}

const readRiders = "SELECT riders FROM station"

// write stores a number that the program computed from the one it read.
func write(riders int) string { return fmt.Sprintf("UPDATE station SET riders = %d", riders) }
