package scene

import (
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

var schema = Scene{
	Name:  "schema",
	Title: "a process starts with DROP TABLE and CREATE TABLE while others write",
	Links: []string{"https://sqlite.org/lang_createtable.html", "https://sqlite.org/lang_droptable.html"},
	play:  playSchema,
}

const (
	dropRide    = "DROP TABLE IF EXISTS ride"
	createRide  = "CREATE TABLE ride (station TEXT)"
	ensureRide  = "CREATE TABLE IF NOT EXISTS ride (station TEXT)"
	insertRide  = "INSERT INTO ride VALUES ('Bowery')"
	countRides  = "SELECT count(*) FROM ride"
	lastToStart = "C"
)

func playSchema(s *stage) {
	s.act("C starts last. Like the others it drops the table and creates it again", "delete", createRide)
	a, b, c := s.actor("A", 5*time.Second), s.actor("B", 5*time.Second), s.actor(lastToStart, 200*time.Millisecond)
	a.does(insertRide, "")
	b.does(insertRide, "")
	a.reads(countRides, "2", "")
	c.does(dropRide, "two rows are lost without an error")
	b.refused(insertRide, sqlite3.SQLITE_ERROR, atOnce, "not a lock: no busy timeout waits until the table is back")
	c.does(createRide, "")
	b.does(insertRide, "the connection reads the new schema by itself")
	c.reads(countRides, "1", "three rows were stored without an error")
	a.does("BEGIN IMMEDIATE", "")
	a.does(insertRide, "")
	waited := c.refused(dropRide, sqlite3.SQLITE_BUSY, wholeTimeout, "while another process writes, DROP fails")
	a.does("COMMIT", "")

	s.act("half a cure: DROP and CREATE in one transaction", "delete", createRide, insertRide, insertRide)
	b, c = s.actor("B", 5*time.Second), s.actor(lastToStart, 5*time.Second)
	c.does("BEGIN IMMEDIATE", "")
	c.does(dropRide, "")
	b.starts(insertRide, "B waits, so it never finds the table missing")
	c.does(createRide, "")
	c.does("COMMIT", "")
	queued := b.finishes(sqlite3.SQLITE_OK, "")
	b.reads(countRides, "1", "the two old rows are still lost")

	s.act("the cure: CREATE TABLE IF NOT EXISTS", "delete")
	a, c = s.actor("A", 5*time.Second), s.actor(lastToStart, 5*time.Second)
	a.does(ensureRide, "")
	a.does(insertRide, "")
	c.does(ensureRide, "the table exists: nothing to do")
	c.does(insertRide, "")
	a.reads(countRides, "2", "no row is lost, in whatever order they start")

	s.explain(
		fmt.Sprintf("DROP TABLE holds the write lock only for a moment, like any write, and then the rows of all processes are "+
			"gone. Until CREATE, an INSERT fails with \"no such table\". DROP itself fails only if somebody writes at "+
			"that moment (here after %s), and a program that ignores the error continues with the old table. The result "+
			"depends on who starts when.", waited),
		fmt.Sprintf("Create the table once, before the processes start, or let each process say CREATE TABLE IF NOT EXISTS. If "+
			"you must empty the table while others write, do it in one transaction: B then waited %s instead of failing.", queued))
}
