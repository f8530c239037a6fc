package scene

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"turnstile/internal/screen"

	sqlite3 "modernc.org/sqlite/lib"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	times  = flag.Int("times", 4, "how often each scene is played")
)

// TestStories plays each scene several times: it is the same story each time,
// except for times and process numbers.
func TestStories(t *testing.T) {
	if len(All()) != 6 {
		t.Fatalf("%d scenes, want 6", len(All()))
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if s.Unsupported != "" {
				_, err := s.Play(t.Context(), Options{Dir: t.TempDir()})
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), s.Unsupported) {
					t.Fatalf("got %v, want ErrUnsupported with the reason", err)
				}
				return
			}
			golden := filepath.Join("testdata", s.Name+".golden")
			for range *times {
				story := play(t, s)
				got := timeless(t, story)
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Fatalf("another story than %s:\n%s", golden, got)
				}
				fits(t, story)
			}
		})
	}
}

func play(t *testing.T, s Scene) Story {
	t.Helper()
	dir := t.TempDir()
	story, err := s.Play(t.Context(), Options{Dir: dir, Stderr: os.Stderr})
	if err != nil || !story.OK {
		t.Fatalf("ok %v, error %v", story.OK, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	return story
}

var changing = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?m)^ *\d+  `), "     #  "},
	{regexp.MustCompile(`(less than 1|\d+) ms`), "# ms"},
	{regexp.MustCompile(`process \d+`), "process #"},
}

func timeless(t *testing.T, s Story) string {
	t.Helper()
	text := strings.Join(s.parts(screen.Paint{}, 1<<20), "") // unwrapped: the breaks depend on the numbers
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.by)
	}
	return text
}

// fits checks that the text fits a terminal.
func fits(t *testing.T, s Story) {
	t.Helper()
	for _, columns := range []int{60, 80, 100, 120} {
		var b strings.Builder
		if err := s.WriteText(&b, screen.Paint{Columns: columns}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			link := strings.Contains(line, "https://") // stays whole
			if len([]rune(line)) > columns && !link || strings.HasSuffix(line, " ") || strings.Contains(line, "\x1b") {
				t.Errorf("a line over %d columns, or with blanks at its end, or with colour: %q", columns, line)
			}
		}
	}
	var colour strings.Builder
	if err := s.WriteText(&colour, screen.Paint{Colour: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(colour.String(), "\x1b[") {
		t.Error("no colour where it is asked for")
	}
}

// TestUnexpected: a scene fails if SQLite does something else than it expects.
func TestUnexpected(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"code", "A: UPDATE station SET riders = 1 returned 0 SQLITE_OK, expected 5 SQLITE_BUSY"},
		{"rows", `A: SELECT riders FROM station returned the rows "100", expected "7"`},
		{"at once", "B: BEGIN IMMEDIATE waited "},
		{"whole timeout", "A: UPDATE station SET riders = 1 failed after "},
		{"killed", "A: SELECT riders FROM station: process"},
		{"set up", "set up: nonsense: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Scene{Name: "wrong", play: func(s *stage) { wrong(s, c.name) }}
			dir := t.TempDir()
			story, err := s.Play(t.Context(), Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || story.OK || story.Error == nil {
				t.Fatalf("ok %v, error %v, want %q", story.OK, err, c.want)
			}
			if text := timeless(t, story); !strings.Contains(text, "Not as expected: ") || strings.Contains(text, "Why:") {
				t.Errorf("the text does not say so:\n%s", text)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func wrong(s *stage, how string) {
	s.act("wrong", "wal", counter...)
	a, b := s.actor("A", 5*time.Second), s.actor("B", 100*time.Millisecond)
	switch how {
	case "code":
		a.refused(write(1), sqlite3.SQLITE_BUSY, atOnce, "")
	case "rows":
		a.reads(readRiders, "7", "")
	case "at once":
		a.does("BEGIN IMMEDIATE", "")
		b.refused("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY, atOnce, "")
	case "whole timeout":
		a.does("BEGIN", "")
		a.reads(readRiders, "100", "")
		b.does(write(2), "")
		a.refused(write(1), sqlite3.SQLITE_BUSY_SNAPSHOT, wholeTimeout, "")
	case "killed":
		a.kill("")
		a.reads(readRiders, "100", "")
	case "set up":
		s.act("wrong", "wal", "nonsense")
	}
	s.explain("never said", "never said")
}

// TestJSON: a story that could not be played has every key as well.
func TestJSON(t *testing.T) {
	s := Scene{Name: "never", Title: "t", Links: []string{"l"}, Unsupported: "no moon"}
	story, err := s.Play(t.Context(), Options{Dir: t.TempDir()})
	if !errors.Is(err, ErrUnsupported) {
		t.Fatal(err)
	}
	got, err := json.Marshal(story)
	const want = `{"name":"never","title":"t","ok":false,"error":"scene: never: not supported on this system: no moon",` +
		`"seconds":0,"acts":[],"why":"","cure":"","links":["l"]}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

// TestLocks: the deadlock is visible in the locks that the two hold.
func TestLocks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: locks are visible on Linux only")
	}
	act := play(t, deadlock).Acts[0]
	i := slices.IndexFunc(act.Steps, func(e Step) bool { return e.Actor == "A" && e.Text == "COMMIT" && *e.Code != 0 })
	if i < 0 {
		t.Fatal("A's COMMIT was not refused")
	}
	if got, want := fmt.Sprint(act.Steps[i].Locks), "[{A pending true} {B shared true}]"; got != want {
		t.Errorf("locks %s, want %s", got, want)
	}
	if last := act.Steps[len(act.Steps)-1].Locks; last == nil || len(last) != 0 {
		t.Errorf("locks after the last COMMIT: %v, want none", last)
	}
}
