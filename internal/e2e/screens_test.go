package e2e

// What a person sees: golden screens, at 80 columns and at 120.

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden screens")

// screens are run one after another in a folder of their own, with data/sample.csv in
// it. Exit statuses are part of the screen.
var screens = []struct {
	name, command string
	timed         bool // it shows measured times
}{
	{name: "broker-help", command: "broker --help"},
	{name: "producer-help", command: "producer --help"},
	{name: "consumer-help", command: "consumer --help"},
	{name: "contention-help", command: "contention --help"},
	{name: "watch-help", command: "contention watch --help"},
	{name: "absent-file", command: "producer nosuch.csv"},
	{name: "absent-database", command: "consumer verify data/sample.csv"},
	{name: "mistyped", command: "contention --task 20"},
	{name: "open-broker", command: "broker --listen 0.0.0.0:0 --store queue"},
	{name: "load", command: "consumer load data/sample.csv"},
	{name: "rejects", command: "consumer rejects"},
	{name: "query", command: "consumer query 'SELECT * FROM ridership LIMIT 2'"},
	{name: "query-long", command: "consumer query 'SELECT line, reason, record FROM reject'"},
	{name: "query-no-table", command: "consumer query 'SELECT * FROM rides'"},
	{name: "verify-other", command: "sed 's/,subway,/,tram,/' data/sample.csv >other.csv; NATS_URL=nats://127.0.0.1:1 consumer verify --source sample.csv other.csv"},
	{name: "no-broker", command: "consumer verify --server nats://127.0.0.1:1 --source new data/sample.csv"},
	{name: "report", command: "contention report report.json"},
	{name: "scenes", command: "contention scene list"},
	{name: "scene", command: "contention scene snapshot", timed: true},
	{name: "free", command: "contention watch --once var/turnstile.db"},
}

// What differs from run to run.
var (
	clock  = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`)
	speed  = regexp.MustCompile(`in \d+\.\d\d s \([\d,]+ rows/s\)`)
	pid    = regexp.MustCompile(`process \d+`)
	moment = regexp.MustCompile(`(?m)^ *\d+  (\S)`)
	wait   = regexp.MustCompile(`after \d+ ms`)
)

// overwritten matches a progress bar up to where it was cleared.
var overwritten = regexp.MustCompile(`(?m)^.*\r(\x1b\[K)?`)

func TestScreens(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: script, which makes a terminal, takes other arguments here")
	}
	if _, err := exec.LookPath("script"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("NOT RUN: a terminal needs script (util-linux): %v", err)
	}
	bin, err := buildAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, columns := range []int{80, 120} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			copyFile(t, filepath.Join(root, "data", "sample.csv"), filepath.Join(dir, "data", "sample.csv"))
			copyFile(t, filepath.Join(root, "internal", "lab", "report", "testdata", "report.json"), filepath.Join(dir, "report.json"))
			for _, s := range screens {
				text := screenOf(t, bin, dir, columns, s.command)
				for line := range strings.Lines(text) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
						t.Errorf("%s: a line of %d columns: %s", s.command, n, line)
					}
				}
				text = clock.ReplaceAllString(text, "15:04:05.000")
				text = speed.ReplaceAllString(text, "in 0.05 s (40,000 rows/s)")
				if s.timed {
					text, _, _ = strings.Cut(text, "\nWhy:") // a paragraph breaks where its figures let it
					text = pid.ReplaceAllString(text, "process 7777")
					text = moment.ReplaceAllString(text, "     9  $1")
					text = wait.ReplaceAllString(text, "after 9 ms")
				}
				compareScreen(t, filepath.Join("testdata", "screens", fmt.Sprintf("%s.%d.txt", s.name, columns)), "$ "+s.command+"\n"+text)
			}
		})
	}
}

// TestNarrowHelp has lines that fit, of the same words.
func TestNarrowHelp(t *testing.T) {
	t.Parallel()
	bin, err := buildAll()
	if _, noScript := exec.LookPath("script"); err != nil || noScript != nil || runtime.GOOS != "linux" {
		t.Skipf("NOT RUN: see TestScreens: %v", errors.Join(err, noScript))
	}
	for _, s := range screens {
		if !strings.HasSuffix(s.command, "--help") {
			continue
		}
		wide := strings.Fields(screenOf(t, bin, t.TempDir(), 80, s.command))
		for _, columns := range []int{60, 40} {
			narrow := screenOf(t, bin, t.TempDir(), columns, s.command)
			if !slices.Equal(strings.Fields(narrow), wide) {
				t.Errorf("%s: other words in %d columns:\n%s", s.command, columns, narrow)
			}
			for line := range strings.Lines(narrow) {
				if line = strings.TrimSpace(line); len(line) > columns && strings.Contains(line, " ") {
					t.Errorf("%s: in %d columns: %s", s.command, columns, line)
				}
			}
		}
	}
}

// screenOf returns what a command writes on a terminal, and its exit status.
func screenOf(t *testing.T, bin, dir string, columns int, command string) string {
	t.Helper()
	script := fmt.Sprintf("stty cols %d; %s; echo \"exit status $?\"", columns, command)
	cmd := exec.Command("script", "--quiet", "--return", "--command", script, os.DevNull)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "NO_COLOR=1", "TZ=UTC", "SHELL=/bin/sh", "TURNSTILE_RUN=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return overwritten.ReplaceAllString(strings.ReplaceAll(string(out), "\r\n", "\n"), "")
}

func compareScreen(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: run go test -update", err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs; go test -update, and look at git diff:\n%s", golden, got)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
