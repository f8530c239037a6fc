package main

// Watch against holders that are not ours: the sqlite3 shell and Python.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
)

func TestWatchForeignHolder(t *testing.T) {
	t.Parallel()
	for _, f := range foreigners {
		for _, mode := range []struct{ pragma, name, lock string }{{"delete", "rollback", "reserved"}, {"wal", "wal", "wal-write"}} {
			t.Run(f.name+" "+mode.pragma, func(t *testing.T) {
				t.Parallel()
				path := f.make(t, mode.pragma)
				holder := f.run(t, path, "begin;\ninsert into t values(2);")
				pid := holder.Process.Pid
				d := waitFor(t, path, "the holder", func(d watchDoc) bool { return len(d.Locks) == 1 && string(d.Locks[0].Lock) == mode.lock })
				if d.Locks[0].PID != pid || !strings.Contains(d.Locks[0].Command, f.name) || d.Mode != mode.name || !d.Visible || d.Note != "" || listed(d, pid) {
					t.Errorf("got %+v, want a %s lock of %d", d, mode.lock, pid)
				}
				waiter, _ := f.start(t, path, "insert into t values(3);")
				waitStopped(t, path, waiter)
				text, _, status := runWatch(t.Context(), path, "--once")
				for _, want := range []string{"locked for writing", fmt.Sprint(pid, " ", f.name), mode.lock + ": ", "may be waiting", fmt.Sprint("kill ", pid), "(stopped)"} {
					if status != 0 || !strings.Contains(text, want) {
						t.Errorf("status %d; %q is missing in\n%s", status, want, text)
					}
				}
				kill(t, holder)
				if d := waitFor(t, path, "the waiter", func(d watchDoc) bool { return listed(d, waiter.Process.Pid) }); len(d.Locks) > 0 || listed(d, pid) {
					t.Errorf("after kill -9 of %d: %+v", pid, d)
				}
			})
		}
	}
}

// waitStopped stops a process that waits for the lock, and sees it listed. In
// rollback mode it holds a read lock for some microseconds each time it tries:
// who is stopped in these goes on once more.
func waitStopped(t *testing.T, path string, waiter *exec.Cmd) {
	t.Helper()
	pid := waiter.Process.Pid
	for range 10 {
		waitFor(t, path, "the waiter", func(d watchDoc) bool { return listed(d, pid) })
		if err := waiter.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		d := waitFor(t, path, "a holder, and the waiter stopped", func(d watchDoc) bool {
			return len(d.Locks) > 0 && locks.Stopped(pid) // the signal takes a moment
		})
		if listed(d, pid) {
			return
		}
		if err := waiter.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the waiter holds a lock whenever it is stopped")
}

func TestWatchOnceJSON(t *testing.T) {
	t.Parallel()
	f := foreigners[0]
	path := f.make(t, "wal")
	holder := f.run(t, path, "begin immediate;")
	reader := f.run(t, path, "select 1 from t;")
	out, _, status := runWatch(t.Context(), path, "--once", "--format", "json")
	out = regexp.MustCompile(`"at": "20\d\d-\d\d-\d\dT[^"]*"`).ReplaceAllString(out, `"at": "NOW"`)
	out = strings.NewReplacer(path, "FILE", fmt.Sprint(holder.Process.Pid), "11", fmt.Sprint(reader.Process.Pid), "22").Replace(out)
	out = regexp.MustCompile(`"command": "sqlite3 [^"]*"`).ReplaceAllString(out, `"command": "sqlite3"`)
	const want = `{
  "file": "FILE",
  "at": "NOW",
  "journal_mode": "wal",
  "visible": true,
  "locks": [
    {
      "pid": 11,
      "command": "sqlite3",
      "lock": "wal-write",
      "seen_ms": 0
    }
  ],
  "open": [
    {
      "pid": 22,
      "command": "sqlite3"
    }
  ],
  "note": ""
}
`
	if out != want || status != 0 {
		t.Errorf("status %d, got\n%s\nwant\n%s", status, out, want)
	}
}

func TestWatchStoppedHolderAndEmptyFile(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "delete")
	holder := f.run(t, path, "begin exclusive;")
	if err := holder.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d := waitFor(t, path, "it stopped", func(d watchDoc) bool { return d.Note != "" })
	if want := fmt.Sprintf("kill -CONT %d", holder.Process.Pid); !strings.Contains(d.Note, want) {
		t.Errorf("note %q, want %q", d.Note, want)
	}
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, empty, "an empty file, which is a database without tables", func(d watchDoc) bool { return d.Mode == "unknown" })
}

// watchLines runs watch until stop is called; each of its lines comes on the channel.
func watchLines(t *testing.T, args ...string) (lines <-chan string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	found, status := make(chan string, 1000), make(chan int, 1)
	go func() {
		env := cli.Env{Stdout: w, Stderr: os.Stderr}
		status <- cli.Status("contention", env, watch(ctx, args, env))
		w.Close() // a pipe's never fails
	}()
	go func() {
		defer close(found)
		for s := bufio.NewScanner(r); s.Scan(); {
			found <- s.Text()
		}
	}()
	t.Cleanup(cancel)
	return found, func() int { cancel(); return <-status }
}

// next returns the first line with the text in it.
func next(t *testing.T, lines <-chan string, want string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("ended without %q", want)
			}
			if strings.Contains(line, want) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line with %q", want)
		}
	}
}

func TestWatchFollows(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	for _, c := range []struct{ format, begin, end, sum string }{
		{"text", "has the write lock (reserved)", "one transaction", "Someone had the write lock in "},
		{"json", `"ended":false`, `"ended":true`, `{"summary":{"file":`},
	} {
		path := f.make(t, "delete")
		lines, stop := watchLines(t, path, "--format", c.format, "--interval", "5ms")
		next(t, lines, path)
		holder := f.run(t, path, "begin immediate;")
		pid := fmt.Sprint(holder.Process.Pid)
		if line := next(t, lines, c.begin); !strings.Contains(line, pid) {
			t.Errorf("%s does not name %s", line, pid)
		}
		kill(t, holder)
		if line := next(t, lines, c.end); !strings.Contains(line, pid) {
			t.Errorf("%s does not name %s", line, pid)
		}
		done := make(chan int, 1)
		go func() { done <- stop() }()
		line := next(t, lines, c.sum)
		if status := <-done; status != 0 {
			t.Errorf("status %d after Ctrl-C", status)
		}
		if c.format == "json" {
			checkSummary(t, line, holder.Process.Pid)
			if more, ok := <-lines; ok {
				t.Errorf("after the summary: %s", more)
			}
		}
	}
}

func checkSummary(t *testing.T, line string, pid int) {
	t.Helper()
	var s struct {
		Summary watchSummary `json:"summary"`
	}
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		t.Fatal(err)
	}
	d := s.Summary
	// The holder reads the schema when it connects, so it may be there as a reader,
	// too. How many samples there are depends on how busy the machine is.
	if !d.Interrupted || d.IntervalMS != 5 || d.Samples < 3 || d.WriteLocked <= 0 || d.WriteLocked >= 1 || len(d.Processes) == 0 {
		t.Fatalf("summary %s", line)
	}
	if p := d.Processes[0]; p.PID != pid || p.Class != "write" || p.Holds != 1 || p.LongestMS < 100 {
		t.Errorf("process %+v", p)
	}
}

func TestWatchFileGone(t *testing.T) {
	t.Parallel()
	path := foreigners[1].make(t, "delete")
	lines, stop := watchLines(t, path, "--interval", "1ms")
	next(t, lines, "Looking every 1ms")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	next(t, lines, "the file is gone")
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	next(t, lines, "the file is back")
	go stop()
	next(t, lines, "No lock was seen.")
}
