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
	"turnstile/internal/lab/report"
)

var update = flag.Bool("update", false, "write the golden file")

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
		{[]float64{7}, spread{7, 7, 7}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

// A ratio is the median of the rounds' ratios, not the ratio of the medians.
func TestRatioIsOfTheSameRound(t *testing.T) {
	one := []sample{{seconds: 1}, {seconds: 10}, {seconds: 2}}
	other := []sample{{seconds: 3}, {seconds: 30}, {seconds: 20}}
	if got, want := ratio(other, one), (spread{3, 3, 10}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSummaryHasMediansAndTheHighestPeak(t *testing.T) {
	m := summarize("x", 100, []sample{
		{seconds: 1, processes: []usage{{"a", 1, 20}, {"b", 5, 0}}},
		{seconds: 3, processes: []usage{{"a", 3, 10}, {"b", 5, 0}}},
		{seconds: 2, bytes: 9, processes: []usage{{"a", 2, 10}, {"b", 5, 0}}},
	})
	if m.Rate != 50 || m.CPU != 7 || m.Bytes != 9 || m.Processes[0].Peak != 20 || m.Processes[1].Peak != 0 {
		t.Errorf("got %+v", m)
	}
}

func TestLatencies(t *testing.T) {
	first := time.Now()
	var visible []time.Time
	for i := range 101 {
		visible = append(visible, first.Add(time.Duration(i*10+5)*time.Millisecond))
	}
	visible[100] = visible[100].Add(995 * time.Millisecond)
	got := latencies(visible, first, 100)
	if got[0] != 50 || got[1] != 5 || got[2] != 5 || got[3] != 1000 {
		t.Errorf("got %v", got)
	}
}

// The fastest strategy need not be fair, and one without a rate is none.
func TestLabTargets(t *testing.T) {
	trial := func(strategy string, rate, wait, fairness float64) report.Trial {
		return report.Trial{Setting: report.Setting{Strategy: strategy}, Rate: rate, Wait: report.WaitStats{Max: &wait}, Fairness: &fairness}
	}
	b := &bench{}
	b.labResult([][]report.Trial{{trial("confirmed", 600, 10, 1), trial("wal", 300, 2000, 0.3), trial("turns", 200, 100, 1)}})
	for i, want := range []string{"3.00", "2.00", "1/200"} {
		if got := b.result.Targets[i]; got.Measured != want || !got.Met {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	b = &bench{}
	b.labResult([][]report.Trial{{trial("confirmed", 600, 10, 1)}})
	if got := b.result.Targets[0]; got.Met {
		t.Errorf("met without a direct strategy: %+v", got)
	}
}

func TestText(t *testing.T) {
	table := figures{Title: "at a pace", Columns: []string{"reached", "p99"}}
	table.add("1000 rows/s", [][]float64{{999, 5.25}, {1000.5, 7}})
	r := result{
		At: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Load: "0.10", Shell: "3.40.1", Rounds: 2,
		Machine: json.RawMessage(`{"cpus":2,"cpu_model":"a CPU","file_system":{"type":"ext4","fsync_us":250}}`),
		Targets: []target{{"pipeline against .import", ">= 3", "3.20 (3.00-3.40)", true}, {"consumer verify", ">= 2 M rows/s", "1.50 M rows/s", false}},
		Comparisons: []comparison{{"into SQLite", 3000, []measured{
			{"pipeline", spread{2, 1.9, 2.1}, 1.5e6, spread{1, 1, 1}, 60 << 20, 3, []usage{{"producer", 1, 42 << 20}, {"consumer", 2, 70 << 20}}},
			{"sqlite3 .import", spread{6.4, 6, 7}, 468750, spread{3.2, 3, 3.4}, 440 << 20, 6, []usage{{"sqlite3", 6, 0}}},
		}}},
		Tables: []figures{table},
	}
	var got bytes.Buffer
	if err := r.text(&got); err != nil {
		t.Fatal(err)
	}
	text := got.String()
	golden := filepath.Join("testdata", "result.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("got\n%s", text)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--only", "pipelin"}, {"--rows", "0"}, {"--rounds", "0"}, {"--format", "xml"}, {"x"}} {
		env := cli.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
		if err := run(t.Context(), args, env); cli.Status("bench", env, err, nil) != 2 {
			t.Errorf("%v: %v, want exit status 2", args, err)
		}
	}
}

// TestMeasures runs the real programs on a small file. Nothing is left behind.
func TestMeasures(t *testing.T) {
	defer func(rates []int) { pacedRates = rates }(pacedRates)
	pacedRates = []int{50}
	programFolder = filepath.Join("..", "..", "var", "bench")
	defer func() { programFolder = "" }()
	dir := t.TempDir()
	var out, log bytes.Buffer
	args := []string{"--only", "load,stored,queue,page,paced", "--rows", "500", "--rounds", "1", "--quick", "--dir", dir, "--format", "json"}
	if err := run(t.Context(), args, cli.Env{Stdout: &out, Stderr: &log}); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Comparisons) != 4 || len(r.Tables) != 1 || len(r.Targets) < 4 || len(r.Machine) == 0 {
		t.Fatalf("got %s", &out)
	}
	for _, m := range r.Comparisons[0].Ways {
		if m.Seconds.Min <= 0 || m.Bytes == 0 || m.CPU <= 0 {
			t.Errorf("a figure is missing: %+v", m)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLostRowsAreNoMeasurement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE ride (id); INSERT INTO ride VALUES (1), (2)"); err != nil {
		t.Fatal(err)
	}
	if _, err := countRows(t.Context(), path, "ride", 2); err != nil {
		t.Error(err)
	}
	if _, err := countRows(t.Context(), path, "ride", 3); err == nil || !strings.Contains(err.Error(), "has 2 rows, want 3") {
		t.Errorf("got %v", err)
	}
}
