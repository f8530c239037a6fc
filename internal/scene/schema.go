package scene

import (
	"fmt"
	"time"

	"modernc.org/sqlite/lib"
)

func init() {
	register(Scene{
		Place: 3,
		Name:  "schema",
		Title: "a process starts with DROP TABLE and CREATE TABLE while others write",
		Links: []string{"https://sqlite.org/lang_createtable.html", "https://sqlite.org/lang_droptable.html"},
		play:  schema,
	})
}

const (
	dropRide    = "DROP TABLE IF EXISTS ride"
	createRide  = "CREATE TABLE ride (station TEXT)"
	ensureRide  = "CREATE TABLE IF NOT EXISTS ride (station TEXT)"
	insertRide  = "INSERT INTO ride VALUES ('Bowery')"
	countRides  = "SELECT count(*) FROM ride"
	lastToStart = "C"
)

func schema(s *stage) {
	s.act("C starts last, and as the others did: it drops the table and makes it anew", "delete", createRide)
	a, b, c := s.actor("A", 5*time.Second), s.actor("B", 5*time.Second), s.actor(lastToStart, 200*time.Millisecond)
	a.does(insertRide, "")
	b.does(insertRide, "")
	a.reads(countRides, "2", "")
	c.does(dropRide, "two rows are gone, and nobody was asked")
	b.refused(insertRide, sqlite3.SQLITE_ERROR, atOnce, "this is no lock, so no busy timeout waits for the table to come back")
	c.does(createRide, "")
	b.does(insertRide, "a connection reads the schema again by itself")
	c.reads(countRides, "1", "three rows were stored without an error")
	a.does("BEGIN IMMEDIATE", "")
	a.does(insertRide, "")
	waited := c.refused(dropRide, sqlite3.SQLITE_BUSY, wholeTimeout, "while another writes, DROP is what is locked out")
	a.does("COMMIT", "")

	s.act("half a cure: DROP and CREATE in one transaction", "delete", createRide, insertRide, insertRide)
	b, c = s.actor("B", 5*time.Second), s.actor(lastToStart, 5*time.Second)
	c.does("BEGIN IMMEDIATE", "")
	c.does(dropRide, "")
	b.starts(insertRide, "B never sees the gap: it waits")
	c.does(createRide, "")
	c.does("COMMIT", "")
	queued := b.finishes(sqlite3.SQLITE_OK, "")
	b.reads(countRides, "1", "the two old rows are lost all the same")

	s.act("the cure: CREATE TABLE IF NOT EXISTS", "delete")
	a, c = s.actor("A", 5*time.Second), s.actor(lastToStart, 5*time.Second)
	a.does(ensureRide, "")
	a.does(insertRide, "")
	c.does(ensureRide, "nothing to do")
	c.does(insertRide, "")
	a.reads(countRides, "2", "nothing is lost, whoever starts when")

	s.explain(
		fmt.Sprintf("DROP TABLE takes the write lock for a moment, as any write does, and then the rows of everybody are gone; "+
			"until CREATE, an INSERT fails with \"no such table\". Only if somebody writes at that very moment is DROP "+
			"itself refused (here after %s), and a program that does not look goes on with the old table. "+
			"All of it depends on who starts when.", waited),
		fmt.Sprintf("Make the table once, before the processes start, or let each say CREATE TABLE IF NOT EXISTS. If it must "+
			"be emptied under writers, do it in one transaction: B then waited %s instead of failing.", queued))
}
