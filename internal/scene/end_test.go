package scene

// How a scene ends, and its actors with it.

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite/lib"
)

// TestCancel: a scene that is interrupted ends, with its actors.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := Scene{Name: "endless", play: func(s *stage) {
		s.act("", "wal", counter...)
		a, b := s.actor("A", time.Hour), s.actor("B", time.Hour)
		a.does("BEGIN IMMEDIATE", "")
		b.starts("BEGIN IMMEDIATE", "")
		cancel()
		b.finishes(sqlite3.SQLITE_OK, "")
	}}
	dir := t.TempDir()
	start := time.Now()
	story, err := s.Play(ctx, Options{Dir: dir})
	if !errors.Is(err, context.Canceled) || story.OK || time.Since(start) > limit/2 {
		t.Errorf("ok %v, error %v after %s", story.OK, err, time.Since(start))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestKilledDirector: no actor survives its director, in whatever state it is.
// The actors have inherited the director's stderr, so that pipe ends with the
// last of them.
func TestKilledDirector(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "director", t.TempDir())
	cmd.Stderr = w
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready"))
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatalf("the director: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(r); err != nil {
		t.Errorf("an actor lives: %v, said %q", err, said)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the director was not killed")
	}
}

// TestActorEndsWithItsInput: on every system, this is how an actor ends.
func TestActorEndsWithItsInput(t *testing.T) {
	var out strings.Builder
	if err := Actor(t.Context(), strings.NewReader(""), &out); err != nil || out.String() != "" {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := Actor(t.Context(), strings.NewReader(`{"sql":"SELECT 1"}`), &out); err == nil {
		t.Error("a statement before a database is open must fail")
	}
}
