package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"turnstile/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
		{[]float64{7}, spread{7, 7, 7}},
		{nil, spread{}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// The ratio is the median of the rounds' ratios, not the ratio of the medians.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	ours := []sample{{seconds: 1}, {seconds: 10}, {seconds: 2}}
	other := []sample{{seconds: 3}, {seconds: 30}, {seconds: 20}}
	if got, want := *ratios(other, ours), (spread{3, 3, 10}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSummaryTakesMediansAndTheHighestPeak(t *testing.T) {
	small, large := int64(1), int64(2)
	o := summarise("x", 100, []sample{
		{seconds: 1, processes: []usage{{"a", 1, &large}, {"b", 5, nil}}},
		{seconds: 3, processes: []usage{{"a", 3, &small}, {"b", 5, nil}}},
		{seconds: 2, processes: []usage{{"a", 2, &small}, {"b", 5, nil}}},
	})
	if o.Rate != 50 || o.CPU != 7 || *o.Processes[0].Peak != large || o.Processes[1].Peak != nil {
		t.Errorf("got %+v", o)
	}
}

func fixed() report {
	peak := func(mib int64) *int64 { mib <<= 20; return &mib }
	f := func(v float64) *float64 { return &v }
	tr := func(strategy string, rate, worst, jain float64, lost int) trial {
		t := trial{Strategy: strategy, Processes: 16, Asked: 1000, Stored: 1000 - lost, Lost: lost, Errors: map[string]int{}, Rate: rate, Fairness: &jain}
		t.Wait.P50, t.Wait.Max = f(0.5), &worst
		return t
	}
	r := report{
		At: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Load: f(7.5), Shell: "3.40.1", Pairs: 3,
		Machine: machine{OS: "linux", Arch: "amd64", CPUs: 2, CPUModel: "a CPU", Memory: 8 << 30, Go: "go1.26", SQLite: "3.53", NATS: "2.15", Kernel: "6.1"},
		Comparisons: []comparison{
			{Name: "pipeline", Title: "pipeline against .import", Rows: 3_000_000, Rounds: 3, Note: "A note.", Outcomes: []outcome{
				{Name: "pipeline", Seconds: spread{2, 1.9, 2.1}, Rate: 1.5e6, Stored: &spread{1.8, 1.8, 1.8}, Database: 60 << 20, CPU: 3.5, Processes: []usage{
					{"producer", 0.5, peak(42)}, {"consumer", 2, peak(70)}, {"broker", 1, peak(210)},
				}},
				{Name: ".import", Seconds: spread{6.4, 6, 7}, Rate: 468750, Database: 440 << 20, CPU: 6, Processes: []usage{{"sqlite3", 6, nil}}, Ratio: &spread{3.2, 3, 3.4}},
			}},
			{Name: "pipeline", Title: "pipeline against .import", Rows: 300_000, Rounds: 3, Outcomes: []outcome{
				{Name: "pipeline", Seconds: spread{0.3, 0.3, 0.3}, Rate: 1e6, Database: 6 << 20, CPU: 0.4, Processes: []usage{
					{"producer", 0.1, peak(40)}, {"consumer", 0.2, peak(69)}, {"broker", 0.1, peak(100)},
				}},
			}},
			{Name: "proof", Title: "proof", Rows: 3_000_000, Rounds: 3, Outcomes: []outcome{{Name: "verify", Seconds: spread{2, 2, 2}, Rate: 1.5e6}}},
		},
		Latencies:  []latency{{Offered: 1000, Rows: 5000, Published: 1000, Stored: 999, Visible: waits{5, 9.5, 20}, Queued: waits{1, 2, 3}, Poll: 1}, {Rows: 5000}},
		Lab:        []trial{tr("direct", 2000, 5031, 0.5, 3), tr("no-timeout", 9000, 3, 0.9, 900), tr("short", 8000, 3000, 0.6, 0), tr("confirmed", 16000, 9, 1, 0)},
		Benchmarks: []benchmark{{"store.Append", "1 ns/op"}},
	}
	r.Lab[0].Errors["5"] = 3
	r.Targets = judge(r)
	return r
}

func TestReport(t *testing.T) {
	for name, markdown := range map[string]bool{"report.txt": false, "report.md": true} {
		var got bytes.Buffer
		if err := fixed().write(&got, markdown); err != nil {
			t.Fatal(err)
		}
		golden(t, name, got.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s", name, got)
	}
}

// A target that is missed is called that, and what was not measured is neither
// met nor missed.
func TestTargetsAreJudged(t *testing.T) {
	want := map[string]*bool{
		"pipeline against .import": yes(), "database against .import's": yes(), "memory of each process, largest file": no(),
		"published to visible, 1,000 rows/s, p99": yes(), "... its worst wait": yes(), "verify": no(), "consumer load against .import": nil,
	}
	for _, got := range fixed().Targets {
		met, ok := want[got.What]
		if ok && ((met == nil) != (got.Met == nil) || met != nil && *met != *got.Met) {
			t.Errorf("%s: measured %q, met %v", got.What, got.Measured, got.Met)
		}
		delete(want, got.What)
	}
	if len(want) > 0 {
		t.Errorf("not among the targets: %v", want)
	}
}

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--only", "pipelin"}, {"--rows", "0"}, {"--pairs", "0"}, {"--seconds", "0"}, {"--format", "xml"}, {"x"}} {
		err := execute(t.Context(), args, cli.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
		if cli.Status("bench", cli.Env{Stderr: &bytes.Buffer{}}, err, nil) != 2 {
			t.Errorf("%v: %v, want exit status 2", args, err)
		}
	}
}

// TestMeasures runs the real programs on a small file: every figure is there,
// and nothing is left behind.
func TestMeasures(t *testing.T) {
	dir := t.TempDir()
	defer func(rates []int) { latencyRates = rates }(latencyRates)
	latencyRates = []int{100, 0}
	var out, log bytes.Buffer
	args := []string{"--only", "plain,proof,latency", "--rows", "500,1000", "--pairs", "2", "--seconds", "1", "--dir", dir, "--format", "json"}
	if err := execute(t.Context(), args, cli.Env{Stdout: &out, Stderr: &log}); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Comparisons) != 4 || len(r.Latencies) != len(latencyRates) || r.Machine.CPUs == 0 {
		t.Fatalf("got %s", &out)
	}
	for _, o := range r.Comparisons[0].Outcomes {
		if o.Seconds.Min <= 0 || o.Database == 0 || o.CPU <= 0 {
			t.Errorf("a figure is missing: %+v", o)
		}
	}
	if l := r.Latencies[0]; l.Visible.P50 <= 0 || l.Visible.Max < l.Visible.P99 {
		t.Errorf("latencies: %+v", l)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAWrongResultIsNoMeasurement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE ride (id); INSERT INTO ride VALUES (1), (2)"); err != nil {
		t.Fatal(err)
	}
	if _, err := counted(t.Context(), path, "ride", 2); err != nil {
		t.Error(err)
	}
	if _, err := counted(t.Context(), path, "ride", 3); err == nil || !strings.Contains(err.Error(), "has 2 rows, want 3") {
		t.Errorf("got %v", err)
	}
}

// A process that fails is a failure of the run, with what it said.
func TestAProcessThatFails(t *testing.T) {
	_, _, _, err := run(t.Context(), command{name: "build", path: "go", args: []string{"build", "no-such-package"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-package") {
		t.Errorf("got %v", err)
	}
}
