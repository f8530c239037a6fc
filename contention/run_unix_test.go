//go:build unix

package main

// Trials whose processes are killed, or told to stop.

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A running is a command whose processes are known.
type running struct {
	*exec.Cmd
	stdout bytes.Buffer
	lines  *bufio.Scanner
	pids   []int
	names  []string // of the processes, in the same order
}

// pid returns the id of a process by its number.
func (r *running) pid(t *testing.T, number string) int {
	t.Helper()
	i := slices.Index(r.names, "P"+number)
	if i < 0 {
		t.Fatalf("P%s has not started: %q", number, r.names)
	}
	return r.pids[i]
}

// started runs the command until its log has said something n times.
func started(t *testing.T, n int, what string, args ...string) *running {
	t.Helper()
	r := &running{Cmd: command(t, append(args, "-v", "--format", "json")...)}
	r.Stdout = &r.stdout
	r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := r.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewScanner(stderr)
	pid := regexp.MustCompile(`msg=started process=(\w+) .*pid=(\d+)`)
	for said := 0; said < n; {
		if !r.lines.Scan() {
			t.Fatalf("ended too early: %v", r.lines.Err())
		}
		if m := pid.FindStringSubmatch(r.lines.Text()); m != nil {
			p, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			r.pids, r.names = append(r.pids, p), append(r.names, m[1])
		}
		if strings.Contains(r.lines.Text(), what) {
			said++
		}
	}
	return r
}

func (r *running) wait() error {
	for r.lines.Scan() {
	}
	return r.Wait()
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

// TestKilledChildIsReported: the kernel frees the locks of a process that is
// killed, SQLite's and those of turns, and the others go on.
func TestKilledChildIsReported(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"immediate", "turns"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			// So many rows that none has stored all its own when it is killed; and none waits for
			// the disk, so that the others are done in time.
			r := started(t, 2, "msg=committed", "--processes", "3", "--rows", "200", "--task", "20ms", "--busy-timeout", "1m", "--sync", "normal", "--strategies", strategy)
			if err := syscall.Kill(r.pids[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := r.wait(); err != nil {
				t.Fatalf("lost rows alone are no failure: %v", err)
			}
			got := decode(t, r.stdout.Bytes())
			if tr := got.Trials[0]; tr.Asked != 600 || tr.Lost == 0 || tr.Lost > 200 {
				t.Errorf("got %+v, want some of the 200 rows of one process lost", tr)
			}
			if !strings.Contains(strings.Join(got.Findings, ""), "died (signal: killed)") {
				t.Errorf("not said: %q", got.Findings)
			}
		})
	}
}

// TestStoppedProcessKeepsItsTurn: while the process that has the turn is
// stopped, the other one waits, and watch names it.
func TestStoppedProcessKeepsItsTurn(t *testing.T) {
	t.Parallel()
	r := started(t, 1, "has the lock", "--processes", "2", "--rows", "1", "--task", "5s", "--strategies", "turns")
	name := regexp.MustCompile(`process=P(\d)`).FindStringSubmatch(r.lines.Text())
	holder := r.pid(t, name[1])
	if err := syscall.Kill(holder, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	database, err := filepath.Glob(filepath.Join(r.Dir, "var", "*", "rides.db"))
	if err != nil || len(database) != 1 {
		t.Fatalf("%q, %v", database, err)
	}
	seen, err := command(t, "watch", "--once", database[0]).CombinedOutput()
	if runtime.GOOS == "linux" && !strings.Contains(string(seen), strconv.Itoa(holder)) {
		t.Errorf("watch does not name process %d: %s (%v)", holder, seen, err)
	}
	if err := syscall.Kill(holder, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	got := decode(t, r.stdout.Bytes()).Trials[0]
	if got.Stored != 2 {
		t.Errorf("%d of 2 rows are stored", got.Stored)
	}
}

// TestCtrlCKeepsTheEvidence: the lab kills a process that does not stop within two
// seconds. On a busy machine that may happen; then it is tried again.
func TestCtrlCKeepsTheEvidence(t *testing.T) {
	for runs := 1; ; runs++ {
		took, said := interruptedTrial(t)
		if took <= 10*time.Second && !strings.Contains(said, "died") {
			return
		}
		if runs == 5 {
			t.Fatalf("Ctrl-C was for the parent. It took %s to stop, and of its processes it said: %s", took, said)
		}
	}
}

// interruptedTrial returns how long the lab takes to end after Ctrl-C, and its findings.
func interruptedTrial(t *testing.T) (took time.Duration, said string) {
	t.Helper()
	r := started(t, 3, "msg=committed", "--processes", "3", "--rows", "5000", "--task", "20ms", "--strategies", "short,direct")
	if err := syscall.Kill(-r.Process.Pid, syscall.SIGINT); err != nil { // as a terminal does: to all
		t.Fatal(err)
	}
	start := time.Now()
	err := r.wait()
	took = time.Since(start)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want status 1", err)
	}
	got := decode(t, r.stdout.Bytes())
	if !got.Interrupted || len(got.Trials) != 1 || got.Trials[0].Stored < 3 || got.Trials[0].Lost != 0 {
		t.Errorf("got %+v, want what was stored until then", got)
	}
	for _, pid := range r.pids {
		gone(t, pid)
	}
	if left, err := filepath.Glob(filepath.Join(r.Dir, "var", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return took, strings.Join(got.Findings, "\n")
}

// TestKilledParentLeavesNoOrphans: its processes work or wait, and write
// nothing that could tell them that no one reads it.
func TestKilledParentLeavesNoOrphans(t *testing.T) {
	t.Parallel()
	r := started(t, 1, "has the lock", "--processes", "3", "--rows", "1", "--task", "10m", "--busy-timeout", "10m", "--strategies", "immediate")
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(); err == nil {
		t.Error("it survived")
	}
	for _, pid := range r.pids {
		gone(t, pid)
	}
}
