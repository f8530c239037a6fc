package locks

// Holders that the table of locks does not name.

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestOFDLockHasNoHolder(t *testing.T) {
	path := database(t, "delete")
	startHolder(t, path, "MODERNC_SQLITE_OFD_LOCK=1", "begin immediate")
	v := look(t, watcher(t, path))
	if want := "-1 reserved, -1 shared"; show(v.Locks) != want {
		t.Fatalf("got %q, want %q", show(v.Locks), want)
	}
	if notes := strings.Join(v.Notes, ""); v.Visible || !strings.Contains(notes, "names no process: reserved, shared") {
		t.Errorf("visible %v, notes %q: must say that the table names no process", v.Visible, v.Notes)
	}
}

func TestHolderInAnotherPIDNamespace(t *testing.T) {
	for mode, lock := range map[string]string{"delete": "reserved", "wal": "wal-write"} {
		path := database(t, mode)
		startHolder(t, path, "", "begin immediate")
		out := inPIDNamespace(t, path)
		if !strings.HasPrefix(out, "visible false; 0 "+lock) || !strings.Contains(out, "another PID namespace") {
			t.Errorf("%s: got %q, want a hidden %s lock", mode, out, lock)
		}
	}
}

func inPIDNamespace(t *testing.T, path string) string {
	t.Helper()
	args := []string{"--pid", "--fork", "--mount-proc"}
	if os.Getuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("unshare: %v: %s", err, out)
		}
		t.Skipf("SKIPPED: a PID namespace can't be made here (%v: %s)", err, out)
	}
	cmd := exec.Command("unshare", append(args, os.Args[0], path)...)
	cmd.Env = append(os.Environ(), holderEnv+"=watch")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("watch in a namespace: %v: %s", err, out)
	}
	return string(out)
}

// TestIdleExclusive: a connection in locking_mode=EXCLUSIVE keeps the exclusive
// lock between its transactions, and is not writing.
func TestIdleExclusive(t *testing.T) {
	for _, c := range []struct {
		mode       string
		statements []string
		idle       bool
	}{
		{"delete", []string{"pragma locking_mode=exclusive", "insert into t values(2)"}, true},
		{"delete", []string{"pragma locking_mode=exclusive", "begin", "insert into t values(2)"}, false},
		{"delete", []string{"pragma locking_mode=exclusive", "insert into t values(2)", "begin", "insert into t values(3)"}, false},
		{"truncate", []string{"pragma locking_mode=exclusive", "insert into t values(2)"}, true},
		{"persist", []string{"pragma locking_mode=exclusive", "insert into t values(2)"}, true},
		{"wal", []string{"pragma locking_mode=exclusive", "insert into t values(2)"}, true},
	} {
		t.Run(c.mode+" "+strings.Join(c.statements, "; "), func(t *testing.T) {
			path := database(t, c.mode)
			h := startHolder(t, path, "", append([]string{"pragma journal_mode=" + c.mode}, c.statements...)...)
			w := watcher(t, path)
			look(t, w) // the first look cannot know what has changed
			v := look(t, w)
			if len(v.Locks) != 1 || v.Locks[0].PID != h.Process.Pid || v.Locks[0].Idle != c.idle {
				t.Errorf("got %+v, want a lock of %d, idle %v", v.Locks, h.Process.Pid, c.idle)
			}
		})
	}
}
