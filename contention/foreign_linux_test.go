package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// foreign is a program that executes SQL from its standard input, a statement a
// line, and is not part of this project.
type foreign struct {
	name  string
	args  []string // followed by the database
	ready string   // a line of input that makes it print "ready" at once
}

var foreigners = []foreign{
	// The shell buffers its own output, but not that of a command.
	{"sqlite3", []string{"-cmd", ".timeout 60000"}, ".shell echo ready"},
	{"python3", []string{"-uc", `
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for line in sys.stdin:
    for row in c.execute(line).fetchall():
        print(row[0], flush=True)
`}, "select 'ready';"},
}

// run starts the program and waits until it has executed the SQL. It leaves the
// input open, so the program keeps its locks.
func (f foreign) run(t *testing.T, path, sql string) *exec.Cmd {
	t.Helper()
	cmd, out := f.start(t, path, sql+"\n"+f.ready)
	for s := bufio.NewScanner(out); s.Scan(); {
		if s.Text() == "ready" {
			return cmd
		}
	}
	t.Fatalf("%s ended before it had executed %q", f.name, sql)
	return nil
}

// loop commits short transactions without a pause until the test ends, and does not wait
// for the disk.
func (f foreign) loop(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	const script = `
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute("pragma synchronous=off")
while True:
    c.execute("begin immediate")
    c.execute("update t set x = x + 1")
    c.execute("commit")
`
	cmd, _ := foreign{name: f.name, args: []string{"-c", script}}.start(t, path, "")
	return cmd
}

// start starts the program with SQL that may have to wait for a lock, and leaves
// its input open.
func (f foreign) start(t *testing.T, path, sql string) (*exec.Cmd, io.Reader) {
	t.Helper()
	if _, err := exec.LookPath(f.name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v: watch is not tested against it", err)
	}
	program := f.name
	if program == "python3" {
		program = python()
	}
	cmd := exec.CommandContext(t.Context(), program, append(slices.Clone(f.args), path)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, cmd) })
	if _, err := io.WriteString(in, sql+"\n"); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func kill(t *testing.T, cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Errorf("%s ended before it was killed", cmd)
	}
}

// make makes a database and returns when no process has it open.
func (f foreign) make(t *testing.T, mode string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	kill(t, f.run(t, path, "pragma journal_mode="+mode+";\ncreate table t(x);\ninsert into t values(1);"))
	return path
}

// waitFor looks until good is true.
func waitFor(t *testing.T, path, what string, good func(watchDoc) bool) watchDoc {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, errs, status := runWatch(t.Context(), path, "--once", "--format", "json")
		last = fmt.Sprint(out, errs, status)
		var d watchDoc
		if status != 0 && status != 3 {
			continue // not there yet
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if good(d) {
			return d
		}
	}
	t.Fatalf("never saw %s; at last: %s", what, last)
	return watchDoc{}
}

func listed(d watchDoc, pid int) bool {
	return slices.ContainsFunc(d.Open, func(p watchProcess) bool { return p.PID == pid })
}
