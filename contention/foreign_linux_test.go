package main

// Programs that are not ours and hold locks, for the tests of watch.

import (
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

// A foreign program runs SQL that it reads from its standard input.
type foreign struct {
	name string
	args []string // the database follows
}

var foreigners = []foreign{
	{"sqlite3", []string{"-cmd", ".timeout 60000"}},
	{"python3", []string{"-uc", `
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for line in sys.stdin:
    c.execute(line).fetchall()
`}},
}

// start starts it with some SQL, a statement a line, and leaves its input open.
func (f foreign) start(t *testing.T, path, sql string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(f.name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v: watch is not tested against it", err)
	}
	cmd := exec.CommandContext(t.Context(), f.name, append(slices.Clone(f.args), path)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
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
	return cmd
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

// make makes a database and returns when no one has it open.
func (f foreign) make(t *testing.T, mode string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	cmd := f.start(t, path, "pragma journal_mode="+mode+";\ncreate table t(x);\ninsert into t values(1);\nbegin immediate;")
	waitFor(t, path, "the table", func(d watchDoc) bool { return len(d.Locks) > 0 && d.Mode != "unknown" && idle(d, cmd) })
	kill(t, cmd)
	return path
}

// idle says whether the process has come to its last statement, which locks.
func idle(d watchDoc, cmd *exec.Cmd) bool {
	return d.Locks[0].PID == cmd.Process.Pid && (d.Locks[0].Lock == "reserved" || d.Locks[0].Lock == "wal-write")
}

// waitFor looks until it sees what it wants.
func waitFor(t *testing.T, path, what string, good func(watchDoc) bool) watchDoc {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, errs, status := runWatch(t.Context(), path, "--once", "--format", "json")
		last = fmt.Sprint(out, errs, status)
		var d watchDoc
		if status != 0 {
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
