package scene

import (
	"fmt"
	"time"

	"modernc.org/sqlite/lib"
)

func init() {
	register(Scene{
		Place: 1,
		Name:  "deadlock",
		Title: "two processes read, then want to write: a busy timeout does not help",
		Links: []string{"https://sqlite.org/c3ref/busy_handler.html", "https://sqlite.org/lockingv3.html#locking"},
		play:  deadlock,
	})
}

// deadlock is in rollback mode, SQLite's default: readers keep a writer from
// committing.
func deadlock(s *stage) {
	s.act("BEGIN, read, write", "delete", counter...)
	a, b := s.actor("A", 200*time.Millisecond), s.actor("B", 5*time.Second)
	a.does("BEGIN", "")
	b.does("BEGIN", "BEGIN alone takes no lock")
	a.reads(readRiders, "100", "A has the lock SHARED")
	b.reads(readRiders, "100", "so has B: readers do not mind each other")
	a.does(write(101), "A has RESERVED: it is the one that may write")
	refused := b.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "B reads itself: waiting would be for ever, so SQLite refuses")
	waited := a.refused("COMMIT", sqlite3.SQLITE_BUSY, wholeTimeout, "A needs EXCLUSIVE, and B still has SHARED")
	b.refused(write(101), sqlite3.SQLITE_BUSY, atOnce, "B needs RESERVED, and A has it: trying again does not help")
	b.does("ROLLBACK", "the only way out is that one gives up its transaction")
	a.does("COMMIT", "")

	s.act("the cure: BEGIN IMMEDIATE", "delete", counter...)
	a, b = s.actor("A", 5*time.Second), s.actor("B", 5*time.Second)
	a.does("BEGIN IMMEDIATE", "A has RESERVED before it reads")
	b.starts("BEGIN IMMEDIATE", "B has no lock yet, so it can wait without being in A's way")
	a.reads(readRiders, "100", "")
	a.does(write(101), "")
	a.does("COMMIT", "")
	queued := b.finishes(sqlite3.SQLITE_OK, "B's turn")
	b.reads(readRiders, "101", "B reads what A wrote")
	b.does(write(102), "")
	b.does("COMMIT", "")
	a.reads(readRiders, "102", "both riders are counted")

	s.explain(
		fmt.Sprintf("Each had what the other needed: A could not commit while B read, B could not write while A was about to. "+
			"No waiting ends that, so SQLite refused B after %s, though its busy timeout is 5 s. A did wait (%s), in vain. "+
			"\"database is locked\" at once, in spite of a busy timeout, is the mark of this.", refused, waited),
		fmt.Sprintf("Start a transaction that will write with BEGIN IMMEDIATE: then the wait is at its start, where nothing is "+
			"held, and the busy timeout works. In the second act B waited %s and nobody was refused.", queued))
}

// counter is a database in which a rider can be counted; reading the number
// and writing it back is how the scenes lose one, or don't.
var counter = []string{
	"CREATE TABLE station (name TEXT, riders INTEGER) STRICT",
	"INSERT INTO station VALUES ('Times Sq-42 St', 100)",
}

const readRiders = "SELECT riders FROM station"

// write stores the number that was read and changed by the program.
func write(riders int) string { return fmt.Sprintf("UPDATE station SET riders = %d", riders) }
