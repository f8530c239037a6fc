package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		if err := os.WriteFile(path+".got", got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s differs: compare it with %s.got, or run go test -update", path, path)
	}
}

func TestGoldenReports(t *testing.T) {
	r := fixedReport()
	for name, write := range map[string]func(io.Writer) error{
		"report.txt":  func(w io.Writer) error { return r.Text(w, Paint{}) },
		"report.json": r.JSON,
		"report.md":   r.Markdown,
		"report.csv":  r.CSV,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestTextFitsTheTerminal(t *testing.T) {
	r := fixedReport()
	var plain, coloured bytes.Buffer
	for _, columns := range []int{0, 120, 100, 80, 70} {
		plain.Reset()
		if err := r.Text(&plain, Paint{Columns: columns}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(plain.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > (Paint{Columns: columns}).Width() {
				t.Errorf("%d columns: a line of %d: %s", columns, n, line)
			}
		}
		if got := strings.Contains(plain.String(), "not shown"); got != (columns == 80 || columns == 70) {
			t.Errorf("%d columns: says that columns are not shown: %t", columns, got)
		}
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour where none was asked for")
	}
	if err := r.Text(&coloured, Paint{Colour: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(coloured.String(), "\x1b[31m✗") {
		t.Error("no colour where some was asked for")
	}
}

func TestJSONKeysAreAlwaysThere(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Trials: []Trial{{Setting: Setting{Strategy: "direct", Processes: 1, For: 1}}}, Interrupted: true}).JSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Interrupted bool
		Findings    []string
		Trials      []map[string]json.RawMessage
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !doc.Interrupted || doc.Findings == nil || len(doc.Trials) != 1 {
		t.Fatalf("got %s", b.String())
	}
	for key, want := range map[string]string{
		"errors": "{}", "holders": "[]", "range": "{}", "busy_waits": "[]", "deaths": "[]", "recording": "null", "for_ms": "0", "seconds": "null", "published_seconds": "null", "fairness": "null",
		"rows_per_process": "null", "rows_per_second": "0", "repeat": "0",
	} {
		if got := string(doc.Trials[0][key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if len(doc.Trials[0]) != 38 {
		t.Errorf("a trial has %d keys, want 38", len(doc.Trials[0]))
	}
}

func TestCSVIsCSV(t *testing.T) {
	var b bytes.Buffer
	if err := fixedReport().CSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 9 {
		t.Errorf("%d lines, want a header and 8", len(rows))
	}
}

func TestFigures(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.254: "0.25", 4.56: "4.6", 57.4: "57", 5031: "5,031", 9.96: "10.0"} {
		if got := figure(f); got != want {
			t.Errorf("figure(%v) = %s, want %s", f, got, want)
		}
	}
}

// TestSavedResultIsReportedAgain: every format of a result that was read back
// is the same as before.
func TestSavedResultIsReportedAgain(t *testing.T) {
	saved, err := os.ReadFile(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := Read(bytes.NewReader(saved))
	if err != nil {
		t.Fatal(err)
	}
	r.Command, r.MoreFindings = fixedCommand, fixedReport().MoreFindings
	for name, write := range map[string]func(io.Writer) error{
		"report.txt":  func(w io.Writer) error { return r.Text(w, Paint{}) },
		"report.json": r.JSON,
		"report.md":   r.Markdown,
		"report.csv":  r.CSV,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestResultOfAnotherVersionIsRefused(t *testing.T) {
	for _, document := range []string{
		`{"trials": []}`, `{"version": 2, "trials": []}`, `{"version": 1, "trials": [{"recording": {"version": 2}}]}`, `{"version": 2, "lanes": []}`,
	} {
		_, _, err := Read(strings.NewReader(document))
		if _, ok := errors.AsType[*VersionError](err); !ok {
			t.Errorf("%s: %v", document, err)
		}
	}
	for _, document := range []string{"", "{}", "no JSON", `{"trials": 7}`} {
		_, _, err := Read(strings.NewReader(document))
		if _, ok := errors.AsType[*NotResultError](err); !ok {
			t.Errorf("%q: %v", document, err)
		}
	}
}

// TestRecordingText: who held the lock, and when, by the wall clock.
func TestRecordingText(t *testing.T) {
	defer func(local *time.Location) { time.Local = local }(time.Local)
	time.Local = time.UTC
	var b bytes.Buffer
	r := fixedRecording()
	if err := r.Text(&b, Paint{}, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "recording.txt", b.Bytes())
}

// TestManualHasRoomForEveryName: a long name widens the column.
func TestManualHasRoomForEveryName(t *testing.T) {
	got := describe([]Strategy{{Name: "x", Does: "one", Where: "here"}, {Name: "a-name-of-more-than-twelve-letters", Does: "two", Where: "there"}})
	for line := range strings.Lines(got) {
		if i := strings.IndexAny(line, "ot"); strings.HasPrefix(line, "  x") && i != 38 {
			t.Errorf("the columns do not line up:\n%s", got)
		}
	}
}

// TestInterruptedTrialSaysWhatWasAsked: of six rows one was stored and the
// others not begun.
func TestInterruptedTrialSaysWhatWasAsked(t *testing.T) {
	s := Setting{Strategy: "immediate", Processes: 3, Rows: 2, Task: 300 * ms, Sync: "full"}
	holder := recording{Trace: Trace{Process: "P1", Number: 1, Ended: true, Taken: 2, EndAt: 500 * ms}, list: []Event{
		{Rows: 1, Begun: ms, Released: 300 * ms, End: 300 * ms, Task: 299 * ms},
		{First: 1, Rows: 1, Ready: 300 * ms, Wants: 300 * ms, Begun: 301 * ms, Released: -1, End: 500 * ms, Unfinished: true},
	}}
	waiter := func(n int) recording {
		return recording{Trace: Trace{Process: fmt.Sprint("P", n), Number: n, Ended: true, Taken: 1, EndAt: 500 * ms}, list: []Event{
			{Rows: 1, Begun: -1, Released: -1, End: 500 * ms, Unfinished: true},
		}}
	}
	trial := Measure(s, traces(holder, waiter(2), waiter(3)), nil, StoredRows{1: {1}}, true)
	if trial.Asked != 1 || trial.NotBegun != 5 || trial.Lost != 0 || trial.Unaccounted != 0 {
		t.Errorf("asked %d, not begun %d, lost %d, unaccounted %d; want 1, 5, 0, 0", trial.Asked, trial.NotBegun, trial.Lost, trial.Unaccounted)
	}
	if *trial.Wait.Max != 500 {
		t.Errorf("max wait %v ms, want that of P2", *trial.Wait.Max)
	}
	var b bytes.Buffer
	if err := (Report{Trials: []Trial{trial}, Interrupted: true}).Text(&b, Paint{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1/6", "P1 row 2    had held the lock for 0.20 s when the run was interrupted", "P2 row 1    had waited 0.50 s for the lock when"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("does not say %q:\n%s", want, b.String())
		}
	}
}
