package main

// The trials, on the real binary and with real processes.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/web/webtest"
)

// TestMain makes the test binary the command itself: the tests start it, and
// it starts itself as its children.
func TestMain(m *testing.M) {
	if os.Getenv("TURNSTILE_TEST_CONTENTION") != "" {
		main()
	}
	os.Exit(webtest.Main(m))
}

// limit is more than any of these commands takes on a slow machine.
const limit = 5 * time.Minute

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TURNSTILE_TEST_CONTENTION=1")
	return cmd
}

type result struct {
	Interrupted bool
	Trials      []trial
	Findings    []string
}

type trial struct {
	Strategy       string
	Processes      int
	RowsPerProcess *int    `json:"rows_per_process"`
	PerTransaction int     `json:"rows_per_transaction"`
	TaskMillis     float64 `json:"task_ms"`

	Asked, Stored, Lost, Unaccounted int

	Errors    map[string]int
	Seconds   *float64
	Published *float64                         `json:"published_seconds"`
	Wait      struct{ P50, P99, Max *float64 } `json:"wait_ms"`
	Holders   []struct{ Process string }
}

// run runs the command for its JSON, and checks what is true of every result.
func runJSON(t *testing.T, args ...string) result {
	t.Helper()
	cmd := command(t, append(args, "--format", "json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if left, err := filepath.Glob(filepath.Join(cmd.Dir, "var", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return decode(t, out)
}

func decode(t *testing.T, out []byte) (r result) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(out))
	if err := d.Decode(&r); err != nil {
		t.Fatalf("no JSON: %v: %s", err, out)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than one document: %s", out)
	}
	for _, tr := range r.Trials {
		if tr.Unaccounted != 0 || tr.Asked != tr.Stored+tr.Lost {
			t.Errorf("the counts of %s don't add up: %+v", tr.Strategy, tr)
		}
	}
	return r
}

// TestNoTaskLosesNothing: without work in the transaction a busy timeout is
// enough. Without one (no-timeout) it is luck.
func TestNoTaskLosesNothing(t *testing.T) {
	t.Parallel()
	r := runJSON(t, "--task", "0", "--processes", "3", "--rows", "2", "--busy-timeout", "1m", "--strategies", "all")
	if len(r.Trials) != 9 {
		t.Fatalf("%d trials, want 9", len(r.Trials))
	}
	for i, name := range report.Names() {
		tr := r.Trials[i]
		if tr.Strategy != name || tr.Asked != 6 {
			t.Errorf("trial %d is %+v, want %s with 6 rows asked for", i, tr, name)
		}
		if name != "no-timeout" && tr.Stored != 6 {
			t.Errorf("%s stored %d of 6", name, tr.Stored)
		}
	}
}

// TestOriginal is the original experiment at a tenth of its times: one process
// commits both its rows in the time the others wait for their first. Or
// another gets in between, and a third waits too long. That makes two; where
// the machine is busy, a process that looks for the lock every 100 ms may look
// too late, and it is three. Where processes start late, or the machine stops for
// a moment, they miss each other: that run shows nothing, and is repeated.
func TestOriginal(t *testing.T) {
	for good, runs := 0, 0; good < 2; runs++ {
		r := runJSON(t, "--processes", "3", "--rows", "2", "--task", "300ms", "--busy-timeout", "500ms", "--strategies", "direct,queued,confirmed")
		direct := r.Trials[0]
		if direct.Errors["5"] != direct.Lost || runs == 10 {
			t.Fatalf("direct lost %d rows with errors %v, want 2 or 3 of 6", direct.Lost, direct.Errors)
		}
		for _, tr := range r.Trials[1:] {
			if tr.Stored != 6 || len(tr.Errors) > 0 {
				t.Errorf("%s: %+v, want all 6 stored", tr.Strategy, tr)
			}
		}
		if direct.Lost < 2 || direct.Lost > 3 {
			t.Logf("direct lost %d of 6 rows", direct.Lost)
			continue
		}
		good++
		if !strings.Contains(strings.Join(r.Findings, "\n"), "database is locked") {
			t.Errorf("no finding says so: %q", r.Findings)
		}
	}
}

// TestDefaultProgramme: what its processes show depends on how they meet, so a run on a
// busy machine may show less. Then it runs again. Where the disk is slow, the introduction
// loses rows without a task, too.
func TestDefaultProgramme(t *testing.T) {
	t.Parallel()
	for runs := 1; ; runs++ {
		out, err := command(t).Output()
		if err != nil {
			t.Fatal(err)
		}
		text := string(out)
		for _, want := range []string{"Introduction: three processes", " of 6 rows are stored", "direct ", "consumers ", "short ", "turns ", "queued ", "confirmed "} {
			if !strings.Contains(text, want) {
				t.Errorf("does not say %q:\n%s", want, text)
			}
		}
		for line := range strings.Lines(text) {
			if len([]rune(line)) > 101 {
				t.Errorf("wider than 100 columns: %s", line)
			}
		}
		shown := []string{
			" lost.", "then failed:", "(SQLITE_BUSY)", "What this run shows", "Recommendation", "go run ./contention --processes 4",
		}
		i := slices.IndexFunc(shown, func(want string) bool { return !strings.Contains(text, want) })
		if i < 0 {
			return
		}
		if runs == 5 {
			t.Fatalf("does not say %q:\n%s", shown[i], text)
		}
	}
}

// TestCountsAlwaysAddUp: a strategy that gives up may store nothing, and in a short time
// each may. But every row that is lost belongs to an error, a single writer loses none,
// and what there is has its measures.
func TestCountsAlwaysAddUp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--processes", "3", "--rows", "7", "--task", "3ms", "--busy-timeout", "20ms", "--rows-per-transaction", "3", "--strategies", "all"},
		{"--processes", "4", "--for", "100ms", "--task", "0", "--sync", "normal", "--strategies", "all"},
		{"--processes", "2", "--for", "300ms", "--task", "2ms", "--offered", "100/s", "--strategies", "direct,confirmed"},
	} {
		r := runJSON(t, args...)
		for _, tr := range r.Trials {
			failed := 0
			for _, times := range tr.Errors {
				failed += times
			}
			if tr.RowsPerProcess != nil && tr.Asked != tr.Processes**tr.RowsPerProcess || tr.Lost < failed || tr.Lost > failed*tr.PerTransaction {
				t.Errorf("%d errors of %s don't explain its counts: %+v", failed, tr.Strategy, tr)
			}
			if failed > 0 && (tr.Strategy == "queued" || tr.Strategy == "confirmed") {
				t.Errorf("%s has one writer, and lost rows: %+v", tr.Strategy, tr)
			}
			if (tr.Stored > 0) != (tr.Seconds != nil) || tr.Asked > 0 && tr.Wait.Max == nil {
				t.Errorf("%s has no measures: %+v", tr.Strategy, tr)
			}
		}
	}
}

func TestOrderOfTrials(t *testing.T) {
	t.Parallel()
	r := runJSON(t, "--task", "1ms,0", "--processes", "2,1", "--rows", "1", "--strategies", "short,direct")
	var got []string
	for _, tr := range r.Trials {
		got = append(got, strings.Join([]string{strconv.Itoa(int(tr.TaskMillis)), strconv.Itoa(tr.Processes), tr.Strategy}, " "))
	}
	want := "1 2 short,1 2 direct,1 1 short,1 1 direct,0 2 short,0 2 direct,0 1 short,0 1 direct"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

// TestDeadline: a wait that the deadline ends counts. Processes that begin late, or not
// before the deadline, have none: that run shows nothing of it, and is repeated.
func TestDeadline(t *testing.T) {
	for runs := 1; ; runs++ {
		r := runJSON(t, "--task", "1m", "--deadline", "400ms", "--processes", "2", "--rows", "1", "--strategies", "direct,short")
		for _, tr := range r.Trials {
			if tr.Asked != 2 || tr.Lost != 2 || tr.Seconds != nil {
				t.Errorf("got %+v, want both rows lost and no time", tr)
			}
		}
		longest, said := r.Trials[0].Wait.Max, strings.Contains(strings.Join(r.Findings, ""), "deadline of 400 ms")
		if longest != nil && *longest >= 300 && said {
			return
		}
		if runs == 10 {
			t.Fatalf("the wait that was not over does not count: %v; or it is not said: %q", r.Trials[0].Wait, r.Findings)
		}
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	cmd := command(t, "--rows", "1", "--processes", "1", "--task", "0", "--strategies", "short", "--keep", "kept", "--output", "out/report.txt")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "the databases are in kept\n"; stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
	kept, err := filepath.Glob(filepath.Join(cmd.Dir, "kept", "*", "rides.db"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v %v", kept, err)
	}
	again := command(t, "--rows", "1", "--processes", "1", "--task", "0", "--strategies", "short", "--keep", "kept")
	again.Dir = cmd.Dir
	refused, err := again.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(string(refused), "--keep kept is not empty") {
		t.Errorf("a folder with databases: %v, %s", err, refused)
	}
	if still, err := os.Stat(kept[0]); err != nil || still.Size() == 0 {
		t.Errorf("what was kept is gone: %v", err)
	}
	saved, err := os.ReadFile(filepath.Join(cmd.Dir, "out", "report.txt"))
	head, same := bytes.CutSuffix(saved, out)
	if err != nil || !same {
		t.Errorf("--output has something else than stdout: %v", err)
	}
	// A result that is handed in says first how it was made.
	want := regexp.MustCompile(`^command  go run \./contention --rows 1 .*--output out/report\.txt\ntime     20\d\d-.*\nmachine  ` + runtime.GOOS + `.*SQLite .*\n\n$`)
	if !want.Match(head) {
		t.Errorf("the file begins with\n%s", head)
	}
}

func TestMistypedEndsWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--strategies", "dirct"},
		{"--processes", "0"},
		{"--rows", "0"},
		{"--task", "-1s"},
		{"--rows", "3", "--for", "1s"},
		{"--sync", "no"},
		{"--offered", "fast"},
		{"--offered", "nan"},
		{"--offered", "1e-10"},
		{"--rows-per-transaction", "9223372036854775807", "--for", "1s"},
		{"--rows", "9223372036854775807"},
		{"--task", "2562047h"},
		{"--busy-timeout", "2562047h"},
		{"--repeat", "0"},
		{"--format", "xml"},
		{"--for", "-1s"},
		{"--strategies", "direct,direct"},
		{"word"},
		{"--no-such-flag"},
	} {
		cmd := command(t, args...)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "contention: ") || !strings.Contains(string(out), "contention: hint: ") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
}

func TestVerboseSaysWhatEachProcessDoes(t *testing.T) {
	t.Parallel()
	cmd := command(t, "--processes", "3", "--rows", "1", "--task", "3s", "--busy-timeout", "50ms", "--strategies", "direct", "-v")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"msg=started process=P1", `msg="waiting for the lock" process=P2 row=1`, `msg="has the lock"`, "msg=committed",
		`msg=failed`, `error="database is locked (5) (SQLITE_BUSY)"`,
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %s in\n%s", want, stderr.String())
		}
	}
}

// TestSavedResultIsShownAgain: --output FILE.json is JSON, report shows the same
// text, and its trace and its page are those of the run.
func TestSavedResultIsShownAgain(t *testing.T) {
	t.Parallel()
	first := command(t, "--rows", "2", "--processes", "2", "--task", "5ms", "--strategies", "direct,confirmed",
		"--output", "result.json", "--trace", "traces/run.json", "--html", "pages/run.html")
	text, err := first.Output()
	if err != nil {
		t.Fatal(err)
	}
	again := command(t, "report", "result.json", "--trace", "again.json", "--html", "again.html")
	again.Dir = first.Dir
	var stderr bytes.Buffer
	again.Stderr = &stderr
	out, err := again.Output()
	if err != nil || !bytes.Equal(out, text) {
		t.Errorf("%v: shows\n%s\nnot\n%s", err, out, text)
	}
	if want := "wrote again.json: open it in ui.perfetto.dev\nwrote again.html: open it in a browser\n"; stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
	page, err := os.ReadFile(filepath.Join(first.Dir, "pages", "run.html"))
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(first.Dir, "again.html")); err != nil || !bytes.Equal(kept, page) {
		t.Errorf("the page of the saved result differs: %d and %d bytes, %v", len(kept), len(page), err)
	}
	run, err := os.ReadFile(filepath.Join(first.Dir, "traces", "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct{ Name string }
	}
	if err := json.Unmarshal(run, &trace); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(first.Dir, "again.json")); err != nil || len(kept) != len(run) {
		t.Errorf("the trace of the saved result differs: %d and %d bytes, %v", len(kept), len(run), err)
	}
	for _, want := range []string{"has the lock", "waits for the lock", "waits for the commit", "task"} {
		if !slices.ContainsFunc(trace.TraceEvents, func(e struct{ Name string }) bool { return e.Name == want }) {
			t.Errorf("the trace has no slice %q", want)
		}
	}
}

func TestReportOfSomethingElse(t *testing.T) {
	t.Parallel()
	cmd := command(t, "report", "data.csv")
	if err := os.WriteFile(filepath.Join(cmd.Dir, "data.csv"), []byte("a,b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "hint: save a result with") {
		t.Errorf("%v: %s", err, out)
	}
}
