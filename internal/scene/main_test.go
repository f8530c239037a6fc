package scene

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"turnstile/internal/child"
)

// TestMain makes the test binary a child, and a parent that can be killed.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "actor":
		err = Child(context.Background(), os.Stdin, os.Stdout)
	case len(os.Args) > 2 && os.Args[1] == "parent":
		_, err = doomed.Play(context.Background(), Options{Dir: os.Args[2], Stderr: os.Stderr})
	default:
		// Under the race detector each actor would sleep a second at its end.
		err = os.Setenv("GORACE", "atexit_sleep_ms=0")
		if err == nil {
			os.Exit(m.Run())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// doomed brings its children into the worst state that the parent can be killed
// in: one is stopped, one waits for a lock, one is idle. Then it waits.
var doomed = Scene{Name: "doomed", play: func(s *stage) {
	s.act("", "wal", counter...)
	a, b, c := s.actor("A", time.Second), s.actor("B", time.Hour), s.actor("C", time.Second)
	a.does("BEGIN IMMEDIATE", "")
	if child.PauseUnsupported == "" {
		a.stop("")
	}
	b.starts("BEGIN IMMEDIATE", "")
	c.reads(readRiders, "100", "")
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin)); err != nil {
		s.fail("%w", err)
	}
	b.finishes(sqlite3.SQLITE_BUSY, "")
}}
