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
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"turnstile/internal/screen"
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
		"report.txt":  func(w io.Writer) error { return r.Text(w, screen.Paint{}) },
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
	for _, columns := range []int{0, 120, 100, 80, 70, 60} {
		plain.Reset()
		if err := r.Text(&plain, screen.Paint{Columns: columns}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(plain.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > (screen.Paint{Columns: columns}).Width() {
				t.Errorf("%d columns: a line of %d: %s", columns, n, line)
			}
		}
		if got := strings.Contains(plain.String(), "not shown"); got != (columns > 0 && columns <= 80) {
			t.Errorf("%d columns: says that columns are not shown: %t", columns, got)
		}
		head := regexp.MustCompile(`(?m)^  strategy .*`).FindString(plain.String())
		for column, explained := range map[string]string{"wait p50 ms": "p50: half", "BUSY": "BUSY: SQLITE", "rows/process": "rows/process: fewest", "Jain": "Jain: 1 all"} {
			if strings.Contains(head, column) != strings.Contains(strings.Join(strings.Fields(plain.String()), " "), explained) {
				t.Errorf("%d columns: %q is shown or explained, not both:\n%s", columns, column, plain.String())
			}
		}
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour where none was asked for")
	}
	if err := r.Text(&coloured, screen.Paint{Colour: true}); err != nil {
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
		"report.txt":  func(w io.Writer) error { return r.Text(w, screen.Paint{}) },
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
		`{"trials": []}`, `{"version": 2, "trials": []}`, `{"version": 1, "trials": [{"processes": 1, "recording": {"version": 2}}]}`, `{"version": 2, "lanes": []}`,
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

// TestReadRounds: a result of another program may have more digits than contention keeps.
func TestReadRounds(t *testing.T) {
	r, _, err := Read(strings.NewReader(`{"version": 1, "trials": [{"processes": 1, "rows_per_second": 1.23456, "range": {"seconds": [0.12345, 2]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Trials[0]; got.Rate != 1.235 || got.Range["seconds"] != [2]float64{0.123, 2} {
		t.Errorf("%v rows/s, range %v; want three decimals", got.Rate, got.Range)
	}
}

// TestInconsistentResultIsRefused: with the place, and what is wrong there.
func TestInconsistentResultIsRefused(t *testing.T) {
	trial := func(keys string) string {
		return `{"version": 1, "trials": [{"strategy": "wal", "processes": 2, ` + keys + `}]}`
	}
	lane := func(columns string) string {
		return `{"version": 1, "lanes": [{"process": "P1", "events": {` + columns + `}}]}`
	}
	for document, want := range map[string]string{
		trial(`"processes": 0`):                `trial 1 (wal): processes is 0`,
		trial(`"for_ms": -1`):                  `trial 1 (wal): for_ms is -1`,
		trial(`"task_ms": 1e18`):               `trial 1 (wal): task_ms is 1e+18`,
		trial(`"offered_rows_per_second": -5`): `trial 1 (wal): offered_rows_per_second is -5`,
		trial(`"wait_ms": {"p99": 1}`):         `trial 1 (wal): wait_ms has percentiles and no max`,
		trial(`"wait_ms": {"max": 600}`):       `trial 1 (wal): wait_ms has a max, and process_results has no process`,
		trial(`"per_process": {"max": 20}`):    `trial 1 (wal): per_process is 0 to 20, and the rows in process_results are 0 to 0`,
		trial(`"errors": {"busy": 1}`):         `errors: "busy" is no result code of SQLite`,
		lane(`"ready": [-5]`):                  `lane P1: columns of 1 and 0 events`,
		lane(`"ready": [-5], "wants": [0], "begun": [0], "released": [0], "end": [0]`):                  `lane P1: event 0: 0 µs and -5 more is no time of a run`,
		lane(`"ready": [0], "wants": [0], "begun": [0], "released": [0], "end": [-1]`):                  `lane P1: event 0 has no end`,
		lane(`"ready": [0], "wants": [0], "begun": [9223372036854775807], "released": [0], "end": [0]`): `lane P1: event 0: 0 µs and 9223372036854775807 more is no time of a run`,
		`{"version": 1, "lanes": [], "series": [{"name": "wal_bytes", "at": [-1], "values": [0]}]}`:     `series wal_bytes: 0 µs and -1 more is no time of a run`,
		`{"version": 1, "lanes": [], "notes": [{"at": -1, "text": "a gap"}]}`:                           `note "a gap": 0 µs and -1 more is no time of a run`,
	} {
		_, _, err := Read(strings.NewReader(document))
		if e, ok := errors.AsType[*InconsistentError](err); !ok || e.Error() != want {
			t.Errorf("%s: %v; want %s", document, err, want)
		}
	}
}

// TestRecordingText: who held the lock, and when, by the wall clock.
func TestRecordingText(t *testing.T) {
	defer func(local *time.Location) { time.Local = local }(time.Local)
	time.Local = time.UTC
	var b bytes.Buffer
	r := fixedRecording()
	if err := r.Text(&b, screen.Paint{}, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "recording.txt", b.Bytes())
	b.Reset()
	if err := r.Text(&b, screen.Paint{Columns: 60}, nil); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 60 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestManualHasRoomForEveryName: a long name widens the column.
func TestManualHasRoomForEveryName(t *testing.T) {
	got := describe([]Strategy{{Name: "x", Does: "one", Where: "here"}, {Name: "a-name-of-more-than-twelve-letters", Does: "two", Where: "there"}}, 80)
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
	if err := (Report{Trials: []Trial{trial}, Interrupted: true}).Text(&b, screen.Paint{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1/6", "P1 row 2    had held the lock for 0.20 s when the run was interrupted", "P2 row 1    had waited 0.50 s for the lock when"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("does not say %q:\n%s", want, b.String())
		}
	}
}
