package scene

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// TestCancel: an interrupted scene ends, and its children with it.
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
	if !errors.Is(err, context.Canceled) || story.OK || time.Since(start) > sceneLimit/2 {
		t.Errorf("ok %v, error %v after %s", story.OK, err, time.Since(start))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestKilledParent: no child survives its parent, in whatever state it is. The
// children write to the parent's standard error, so that pipe ends with the last
// of them.
func TestKilledParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "parent", t.TempDir())
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
		t.Fatalf("the parent: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(r); err != nil {
		t.Errorf("a child lives: %v, said %q", err, said)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
}

// TestChildEndsWithItsInput: this is how a child ends on every system.
func TestChildEndsWithItsInput(t *testing.T) {
	var out strings.Builder
	if err := Child(t.Context(), strings.NewReader(""), &out); err != nil || out.String() != "" {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := Child(t.Context(), strings.NewReader(`{"sql":"SELECT 1"}`), &out); err == nil {
		t.Error("a statement before a database is open must fail")
	}
}
