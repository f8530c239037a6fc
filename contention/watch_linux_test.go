package main

// watch against foreign holders: the sqlite3 shell and Python.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/web/webtest"
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
				for _, want := range []string{"locked for writing", fmt.Sprint(pid, " ", f.name), mode.lock + ": ", "may be waiting (SQLite polls", fmt.Sprint("kill ", pid), "(stopped)"} {
					if status != 3 || !strings.Contains(text, want) {
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
	for range 100 {
		waitFor(t, path, "the waiter", func(d watchDoc) bool { return listed(d, pid) })
		if err := waiter.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		d := waitFor(t, path, "a holder, and the waiter stopped", func(d watchDoc) bool {
			return len(d.Locks) > 0 && locks.Describe(pid).State == locks.Stopped // the signal takes a moment
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
	keeper := f.run(t, path, "update t set x = 2;") // creates the WAL
	reader := f.run(t, path, "begin;\nselect 1 from t;")
	holder := f.run(t, path, "update t set x = 3;\nbegin immediate;")
	out, _, status := runWatch(t.Context(), path, "--once", "--format", "json")
	if status != 3 {
		t.Errorf("status %d, want 3: there is a lock", status)
	}
	golden(t, "watch-once-json", anonymous(out, path, holder, reader, keeper))
}

// anonymous replaces what differs from run to run. Holders become P1, P2, ...
func anonymous(text, path string, processes ...*exec.Cmd) string {
	text = strings.ReplaceAll(text, path, "FILE")
	for i, p := range processes {
		text = regexp.MustCompile(fmt.Sprintf(`\b%d\b`, p.Process.Pid)).ReplaceAllString(text, fmt.Sprint("P", i+1))
	}
	for _, r := range []struct{ from, to string }{
		{`"(at|started|since)": "20\d\d-\d\d-\d\dT[^"]*"`, `"$1": "TIME"`},
		{`"command": "sqlite3 [^"]*"`, `"command": "sqlite3"`},
		{`"user": "[^"]*"`, `"user": "USER"`},
		{`"container": "[^"]*"`, `"container": ""`},
		{`"inner_pid": \d+`, `"inner_pid": 0`},
		{`"seen_ms": [1-9]\d*`, `"seen_ms": N`},
		{`"state": "(running|sleeping|disk wait)"`, `"state": "sleeping"`},
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}
	return text
}

// TestWatchPinnedWAL: watch names the reader that pins the WAL, and since when it
// reads.
func TestWatchPinnedWAL(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "wal")
	reader := f.run(t, path, "update t set x = 2;\nbegin;\nselect x from t;")
	writer := f.run(t, path, strings.Repeat("update t set x = x + 1;\n", 50))
	text, errs, status := runWatch(t.Context(), path, "--once")
	for _, want := range []string{
		"being read; open to readers and writers", "No checkpoint can copy the newest 50 frames (201 KiB)",
		fmt.Sprint(reader.Process.Pid, " python3"), "reads since ", "pins 50 frames", "hint: if it persists: end the read transaction",
		"These have it open and hold no lock:\n  " + fmt.Sprint(writer.Process.Pid),
	} {
		if status != 0 || errs != "" || !strings.Contains(strings.ReplaceAll(text, "the\nnewest", "the newest"), want) {
			t.Errorf("status %d, stderr %q; %q is missing in\n%s", status, errs, want, text)
		}
	}
	lines, stop := watchLines(t, path, "--format", "json")
	next(t, lines, `"pinned_frames":50`)
	kill(t, reader)
	go stop()
	line := next(t, lines, `{"summary"`)
	if want := fmt.Sprintf(`"pinned_frames":50,"pinned_bytes":206000,"pid":%d,`, reader.Process.Pid); !strings.Contains(line, want) {
		t.Errorf("no %s in %s", want, line)
	}
}

// TestWatchIdleExclusive: a connection that keeps the exclusive lock between its
// transactions is not said to write.
func TestWatchIdleExclusive(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "delete")
	holder := f.run(t, path, "pragma locking_mode=exclusive;\ninsert into t values(2);")
	text, _, status := runWatch(t.Context(), path, "--once")
	for _, want := range []string{"locked exclusively", "without a transaction (locking_mode=EXCLUSIVE", fmt.Sprintf("process %d keeps the lock until", holder.Process.Pid)} {
		if status != 3 || !strings.Contains(text, want) {
			t.Errorf("status %d; %q is missing in\n%s", status, want, text)
		}
	}
}

// TestWatchManyTransactions: --once tells a row of short transactions from a long
// one.
func TestWatchManyTransactions(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "wal")
	pid := f.loop(t, path).Process.Pid
	for deadline := time.Now().Add(limit); ; {
		text, _, _ := runWatch(t.Context(), path, "--once", "--interval", "1ms")
		if strings.Contains(text, fmt.Sprintf("process %d runs one short transaction after another", pid)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("at last:\n%s", text)
		}
	}
}

func TestWatchAlert(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "wal")
	out, errs, status := runWatch(t.Context(), path, "--for", "50ms", "--alert", "10ms")
	if status != 0 || errs != "" || !strings.Contains(out, "No lock was seen.") {
		t.Errorf("nobody holds a lock: status %d, stderr %s, stdout\n%s", status, errs, out)
	}
	holder := f.run(t, path, "begin immediate;")
	waiter, _ := f.start(t, path, "insert into t values(3);")
	waitFor(t, path, "the waiter", func(d watchDoc) bool { return len(d.Open) == 1 })
	// The waiter holds a read lock for moments, and is no waiter then. A machine that stops
	// meanwhile may not even see the holder for long enough: then it is watched again.
	pid := strconv.Itoa(waiter.Process.Pid)
	var alerts []watchHold
	for runs, shown := 1, false; !shown; runs++ {
		out, errs, status = runWatch(t.Context(), path, "--for", "2s", "--alert", "100ms", "--format", "json")
		alerts = alertsIn(t, out)
		shown = len(alerts) > 0 && (strings.Contains(out, `"open":[`+pid+`]`) || strings.Contains(out, `"open":[{"pid":`+pid+`,`))
		if !shown && runs == 10 {
			t.Fatalf("no alert, or not with the waiter, process %s: stdout\n%s", pid, out)
		}
	}
	// At 100, 200, 400, 800 and 1,600 ms; on a slow machine one alert may stand for two,
	// and a hold that no sample saw for a moment begins anew.
	if status != 3 || errs != "" || len(alerts) > 9 || !strings.Contains(out, `"interrupted":false`) {
		t.Fatalf("status %d, stderr %s, %d alerts, stdout\n%s", status, errs, len(alerts), out)
	}
	earlier := map[time.Time]int{} // alerts of one hold
	for i, a := range alerts {
		if a.PID != holder.Process.Pid || a.Lock != "wal-write" || a.SeenMS < 100<<earlier[a.From] || len(a.Open) > 1 {
			t.Errorf("alert %d: %+v", i, a)
		}
		earlier[a.From]++
	}
}

func alertsIn(t *testing.T, out string) (alerts []watchHold) {
	t.Helper()
	for line := range strings.Lines(out) {
		var d struct{ Alert *watchHold }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if d.Alert != nil {
			alerts = append(alerts, *d.Alert)
		}
	}
	return alerts
}

// TestWatchOtherUser: what a user may not read is said, and is not silence.
func TestWatchOtherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("not root: cannot run as another user")
		}
		t.Skip("SKIPPED: not root: cannot run as another user")
	}
	const nobody = 65534
	binary := publicCopy(t)
	asNobody := func(args ...string) (string, int) {
		cmd := command(t, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Path, cmd.Dir = binary, "/"
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	f := foreigners[1]
	path := f.make(t, "delete")
	publish(t, path)
	holder := f.run(t, path, "begin immediate;")
	if out, status := asNobody("watch", path, "--once"); status != 3 || !strings.Contains(out, fmt.Sprint(holder.Process.Pid, " python3")) ||
		!strings.Contains(out, "processes of other users may have the file open") {
		t.Errorf("readable file: status %d\n%s", status, out)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := asNobody("watch", path, "--once"); status != 1 || !strings.Contains(out, "permission denied") || !strings.Contains(out, "(uid 65534) access to it") {
		t.Errorf("unreadable file: status %d\n%s", status, out)
	}
}

// publicCopy copies this test binary to where other users can run it.
func publicCopy(t *testing.T) string {
	t.Helper()
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "contention")
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	publish(t, path)
	return path
}

// publish lets other users read a temporary file, whatever the umask, and enter its folders.
func publish(t *testing.T, path string) {
	t.Helper()
	for name := path; name != filepath.Clean(os.TempDir()); name = filepath.Dir(name) {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
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
	waitFor(t, path, "it stopped", func(d watchDoc) bool { return d.Locks[0].State == locks.Stopped })
	text, _, status := runWatch(t.Context(), path, "--once")
	pid := holder.Process.Pid
	if want := fmt.Sprintf("kill -CONT %d lets it continue. kill -KILL %d ends it", pid, pid); status != 3 || !strings.Contains(strings.ReplaceAll(text, "\n", " "), want) {
		t.Errorf("status %d, no %q in\n%s", status, want, text)
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
		status <- cli.Status("contention", env, watch(ctx, args, env), hint)
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
	deadline := time.After(time.Minute)
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
		{"text", "holds the write lock (reserved)", "one transaction", "held the write lock."},
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
		if status := <-done; status != 0 { // without --alert
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

// The page shows who holds a lock, who has the file open, and who pins the WAL,
// while they do; the name of the file is text, whatever it looks like.
func TestWatchPage(t *testing.T) {
	t.Parallel()
	f := foreigners[0]
	plain := f.make(t, "delete")
	path := filepath.Join(filepath.Dir(plain), `<img src=x onerror="window.ran=1">.db`)
	if err := os.Rename(plain, path); err != nil {
		t.Fatal(err)
	}
	keeper := f.run(t, path, "pragma journal_mode=wal;\nupdate t set x = 2;")
	reader := f.run(t, path, "begin;\nselect 1 from t;")
	holder := f.run(t, path, "update t set x = 3;\nbegin immediate;")
	page := webtest.NewPage(t)
	watch, url, _ := servePage(t, "watch", path)
	page.Navigate(url)
	lane := func(of *exec.Cmd, purpose string) string { // held since, as the table says it
		return fmt.Sprintf(`[...document.querySelectorAll("#recordings tr")].find(tr => tr.children[0].textContent.startsWith("%d%s sqlite3 "))`, of.Process.Pid, purpose)
	}
	page.Wait(lane(holder, "") + `?.children[1].textContent === "1"`)
	page.Wait(lane(reader, " read") + `?.children[1].textContent === "1"`)
	page.Wait(lane(keeper, "") + `?.children[1].textContent === "0"`)
	status := `document.getElementById("status").textContent`
	page.Wait(status + `.includes("locked for writing")`)
	page.Wait(status + fmt.Sprintf(`.includes("%d sqlite3") && `, reader.Process.Pid) + status + `.includes("and pins 1 frame")`)
	if got := webtest.Eval[string](page, `document.querySelector("h1").textContent`); !strings.Contains(got, `<img src=x onerror="window.ran=1">.db`) {
		t.Errorf("the title is %q", got)
	}
	if webtest.Eval[bool](page, `"ran" in window || document.querySelector("img") !== null`) {
		t.Error("the name of the file became an element of the page")
	}
	kill(t, holder)
	page.Wait(status + `.includes("open to readers and writers")`)
	page.IgnoreConsole()
	if err := watch.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
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

// TestWatchRecord: a recording answers afterwards who held the lock at a given
// time.
func TestWatchRecord(t *testing.T) {
	t.Parallel()
	f := foreigners[1]
	path := f.make(t, "wal")
	file := filepath.Join(t.TempDir(), "night.json")
	lines, stop := watchLines(t, path, "--record", file, "--alert", "150ms")
	next(t, lines, "Looking every")
	holder := f.run(t, path, "begin immediate;\ninsert into t values(2);")
	who := fmt.Sprint(holder.Process.Pid, " python3")
	at := next(t, lines, "ALERT "+who)[:len("15:04")] // of a look that saw it hold the lock
	kill(t, holder)
	next(t, lines, "released")
	reader := f.run(t, path, "begin;\nselect x from t;")
	next(t, lines, fmt.Sprint(reader.Process.Pid, " python3"))
	status := make(chan int, 1)
	go func() { status <- stop() }()
	next(t, lines, "held the write lock.")
	if s := <-status; s != 3 {
		t.Errorf("status %d after an alert, want 3", s)
	}
	for _, args := range [][]string{{file}, {file, "--at", at}} {
		var out, errs bytes.Buffer
		env := cli.Env{Stdout: &out, Stderr: &errs}
		status := cli.Status("contention", env, showSaved(t.Context(), args, env), hint)
		for _, want := range []string{"watch " + path, "wal-write for ", who} {
			if status != 0 || !strings.Contains(out.String(), want) {
				t.Errorf("%v: status %d, stderr %s, no %q in\n%s", args, status, errs.String(), want, out.String())
			}
		}
		if len(args) == 1 && !strings.Contains(out.String(), fmt.Sprintf("or more: %d python3", reader.Process.Pid)) {
			t.Errorf("the reader that still reads is missing in\n%s", out.String())
		}
	}
}
