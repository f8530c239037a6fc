package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/screen"
)

func runWatch(ctx context.Context, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	status = cli.Status("contention", env, watch(ctx, args, env), hint)
	return out.String(), errs.String(), status
}

func TestWatchRefuses(t *testing.T) {
	dir := t.TempDir()
	text, app := filepath.Join(dir, "notes.txt"), filepath.Join(dir, "app.db")
	if err := os.WriteFile(text, []byte("just some text, longer than a header"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	for name, text := range map[string]string{"a.txt": "just some text, longer than a header", "empty.db": "", "my app.db": "SQLite format 3\x00\x10\x00\x02\x02" + strings.Repeat("\x00", 80)} {
		if err := os.WriteFile(filepath.Join(full, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watchThis := cli.Invocation("contention") + " watch "
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{app, "--once"}, 1, "there is no file " + app + "\ncontention: hint: name the file"},
		{[]string{app}, 1, "app.db"},
		{[]string{text, "--once", "--format", "json"}, 1, "not an SQLite database"},
		{[]string{text}, 1, "not an SQLite database"},
		{[]string{dir, "--once"}, 1, "hint: name a database in this folder: " + watchThis + filepath.Join(dir, "app.db") + "\n"},
		{[]string{full}, 1, "hint: name a database in this folder: " + watchThis + "'" + filepath.Join(full, "my app.db") + "'\n"},
		{[]string{app + "-wal"}, 1, "hint: name the database itself: " + watchThis + app + "\n"},
		{nil, 2, "which database?"},
		{[]string{app, text}, 2, "one database at a time"},
		{[]string{app, "--format", "yaml"}, 2, `--format is "yaml"`},
		{[]string{app, "--interval", "0s"}, 2, "--interval is 0s"},
		{[]string{app, "--for", "0s"}, 2, "--for is 0s"},
		{[]string{app, "--alert", "-1s"}, 2, "--alert is -1s"},
		{[]string{app, "--once", "--alert", "1s"}, 2, "--once exits at once"},
		{[]string{app, "--once", "--alert", "1s"}, 2, "hint: " + watchThis + app + " --for 1m --alert 2s\n"},
	} {
		out, errs, status := runWatch(t.Context(), c.args...)
		if status != c.status || out != "" || !strings.Contains(errs, c.stderr) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want status %d, %q", c.args, status, out, errs, c.status, c.stderr)
		}
	}
}

var watchTime = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not as in %s:\n%s", file, got)
	}
}

// lockOf is a lock of process 7.
func lockOf(name locks.Name) watchLock {
	return watchLock{watchProcess: watchProcess{PID: 7, Command: "python3 job.py"}, Lock: name}
}

func TestWatchText(t *testing.T) {
	free := watchDoc{File: "app.db", At: watchTime, until: watchTime, Mode: locks.WAL, Visible: true}
	rollback := free
	rollback.Mode = locks.Rollback
	with := func(d watchDoc, all ...watchLock) watchDoc {
		d.Locks = all
		return d
	}
	described := lockOf(locks.Reserved)
	described.watchProcess = watchProcess{
		PID: 7, Command: "python3 job.py", User: "app", State: locks.Sleeping,
		Started: new(watchTime.Add(-time.Hour)), Container: "0123456789ab", InnerPID: 12,
	}
	described.SeenMS = 2345
	reader := lockOf(locks.Shared)
	reader.PID, reader.Command = 8, "sqlite3 app.db"
	locked := with(rollback, described, reader)
	locked.Open = []watchProcess{{PID: 9, Command: "node web.js"}, {PID: 10, State: locks.Stopped}}
	state := func(name locks.Name, s locks.State) watchLock {
		l := lockOf(name)
		l.State = s
		return l
	}
	idle, busy, old := lockOf(locks.Exclusive), lockOf(locks.WALWrite), lockOf(locks.WALRead)
	idle.Idle = true
	busy.SeenMS, busy.Changes = 100, 8
	old.InnerPID, old.Started = 3, new(watchTime.Add(-48*time.Hour))
	pinned := with(free, old)
	pinned.WAL = &watchWAL{
		Bytes: 12_800_000, PageSize: 4096, Frames: 3100, Copied: 258, PinnedFrames: 2842, PinnedBytes: 2842 * 4120,
		Readers: []watchReader{
			{7, "python3 job.py", watchTime.Add(-26 * time.Second), 2842, 2842 * 4120},
			{9, "web", watchTime, 1, 4120},
			{11, "new", watchTime, 0, 0},
		},
	}
	pinned.Open = []watchProcess{{PID: 10, Command: "node web.js"}}
	quiet := free
	quiet.WAL = &watchWAL{Bytes: 4152, PageSize: 4096, Frames: 1}
	hidden := with(free, lockOf(locks.WALWrite))
	hidden.Locks[0].PID, hidden.Locks[0].Command = locks.Hidden, ""
	hidden.Visible, hidden.Note = false, "held by a process that can't be seen from here: wal-write"
	unseen := rollback
	unseen.Visible, unseen.Unseen, unseen.Note = false, []string{"NFS"}, "the file is on NFS: locks of other machines don't show here"
	for name, d := range map[string]watchDoc{
		"free": free, "locked": locked, "quiet": quiet, "pinned": pinned, "hidden": hidden, "unseen": unseen,
		"stopped":       with(free, state(locks.WALWrite, locks.Stopped)),
		"traced":        with(rollback, state(locks.Reserved, locks.Traced)),
		"pending":       with(rollback, lockOf(locks.Pending), reader),
		"idle":          with(rollback, idle),
		"busy":          with(free, busy),
		"reading":       with(rollback, reader),
		"checkpointing": with(free, lockOf(locks.Checkpoint)),
		"recovering":    with(free, lockOf(locks.Recover)),
	} {
		t.Run(name, func(t *testing.T) {
			got := watchText(d, screen.Paint{})
			golden(t, "watch-"+name, got)
			fits(t, 100, got)
			fits(t, 60, watchText(d, screen.Paint{Columns: 60}))
		})
	}
	if got := watchText(free, screen.Paint{Colour: true}); !strings.Contains(got, "\x1b[32mnot locked\x1b[0m") {
		t.Errorf("no colour: %q", got)
	}
}

func fits(t *testing.T, columns int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
			t.Errorf("%d characters in a line: %s", n, line)
		}
	}
}

// TestWatchLog: each line of the log.
func TestWatchLog(t *testing.T) {
	open := []locks.Process{{PID: 1, Command: "a", State: locks.Stopped}, {PID: 2, Command: "b"}, {PID: 3, Command: "c"}, {PID: 4, Command: "d"}}
	h := locks.Hold{PID: 7, Command: "job", Lock: locks.WALWrite, From: watchTime, Until: watchTime.Add(1234 * time.Millisecond), Samples: 120}
	change := func(f func(*locks.Hold)) locks.Hold {
		changed := h
		f(&changed)
		return changed
	}
	lines := []string{
		holdText(h, open),
		holdText(h, open[:1]),
		holdText(h, []locks.Process{{PID: 7, Command: "job"}}), // the holder, a moment ago
		holdText(change(func(h *locks.Hold) { h.Lock, h.Older = locks.WALRead, true }), open),
		holdText(change(func(h *locks.Hold) { h.Lock, h.IdleSamples = locks.Exclusive, 120 }), nil),
		holdText(change(func(h *locks.Hold) { h.Ended = true }), open),
		holdText(change(func(h *locks.Hold) { h.Ended, h.Older = true, true }), open),
		holdText(change(func(h *locks.Hold) { h.Ended, h.Changes = true, 100 }), open),
		holdText(change(func(h *locks.Hold) { h.Ended, h.Changes = true, 10 }), open),
		holdText(change(func(h *locks.Hold) {
			h.Ended, h.Lock = true, locks.Exclusive
			h.Stages = []locks.Stage{{Lock: locks.Reserved, Seen: 1200 * time.Millisecond}, {Lock: locks.Pending}, {Lock: locks.Exclusive, Seen: 34 * time.Millisecond}}
		}), open),
		alertText(change(func(h *locks.Hold) {
			h.Lock = locks.Exclusive
			h.Stages = []locks.Stage{{Lock: locks.Exclusive}, {Lock: locks.Reserved, Seen: time.Second}}
		}), open),
		walWarningText(&locks.WALState{Size: 300 << 20}),
		walWarningText(&locks.WALState{Size: 300 << 20, PageSize: 4096, Readers: []locks.Reader{{PID: 9, Command: "web", Pinned: 70000, Since: watchTime}}}),
		noteChange("", fileGone), noteChange(fileGone, ""), noteChange("something", ""),
	}
	golden(t, "watch-log", strings.Join(lines, "\n")+"\n")
}

// TestWatchFolds: a stream of holds is one line now and then, not two lines each.
func TestWatchFolds(t *testing.T) {
	var out bytes.Buffer
	o := newWatchOutput(watchConfig{format: "text"}, cli.Env{Stdout: &out})
	at := watchTime
	for range 400 {
		h := locks.Hold{PID: 7, Command: "job", Lock: locks.WALWrite, From: at, Until: at.Add(100 * time.Millisecond), Samples: 10}
		if err := o.hold(h.Until, h, nil); err != nil {
			t.Fatal(err)
		}
		h.Until, h.Ended = at.Add(150*time.Millisecond), true
		if err := o.hold(h.Until, h, nil); err != nil {
			t.Fatal(err)
		}
		at = at.Add(160 * time.Millisecond)
	}
	if got, want := o.statusText(at, nil, nil), "400 holds of the write lock in 1m4s, together 1m0s, longest 150 ms: 7 job"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	// Another hold after a pause is a row of its own.
	last := locks.Hold{PID: 7, Command: "job", Lock: locks.WALWrite, From: at.Add(2 * time.Second), Until: at.Add(3 * time.Second)}
	if err := o.hold(last.Until, last, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.endFolds(); err != nil {
		t.Fatal(err)
	}
	golden(t, "watch-folds", out.String())
	// Rows of processes that are gone do not pile up.
	for pid := range 100 {
		h := locks.Hold{PID: pid + 1, Lock: locks.WALWrite, From: at.Add(time.Duration(pid) * time.Minute), Ended: true}
		h.Until = h.From.Add(150 * time.Millisecond)
		if err := o.hold(h.Until, h, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.folds) > 1 {
		t.Errorf("%d rows are kept", len(o.folds))
	}
}

func TestWatchStatus(t *testing.T) {
	o := newWatchOutput(watchConfig{}, cli.Env{})
	h := locks.Hold{PID: 7, Command: "job", Lock: locks.Reserved, From: watchTime, Until: watchTime.Add(2 * time.Second)}
	open := []locks.Process{{PID: 1}, {PID: 2}, {PID: 3}}
	now := watchTime.Add(2 * time.Second)
	for want, held := range map[string][]locks.Hold{
		"not locked": nil,
		"reserved 2.0 s, 3 may be waiting, locks besides: 1: 7 job": {h, h},
	} {
		if got := o.statusText(now, held, open); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWatchSummaryText(t *testing.T) {
	s := locks.Summary{
		From: watchTime, Until: watchTime.Add(90 * time.Second), Samples: 9000, LongestGap: 31 * time.Millisecond, WriteLocked: 3000,
		Totals: []locks.Total{
			{PID: 7, Command: "python3 job.py", Class: locks.Write, Lock: locks.Exclusive, Samples: 2999, Holds: 12, Longest: 1234 * time.Millisecond},
			{PID: 9, Command: "web", Class: locks.Read, Lock: locks.Shared, Samples: 90, Longest: 20 * time.Millisecond},
		},
	}
	d := newWatchSummary("app.db", 10*time.Millisecond, s, true)
	golden(t, "watch-summary", summaryText(d, screen.Paint{}))
	d.MissedMS, d.WAL = 3200, &watchWALSummary{4 << 20, 12 << 20, 2842, 2842 * 4120, 9, "web"}
	for i := range 12 {
		d.Open = append(d.Open, watchProcess{PID: 100 + i, Command: "worker"})
	}
	golden(t, "watch-summary-full", summaryText(d, screen.Paint{}))
	fits(t, 60, summaryText(d, screen.Paint{Columns: 60}))
}

// TestWatchManual: the manual names every key of the JSON documents.
func TestWatchManual(t *testing.T) {
	hold := newWatchHold(locks.Hold{Stages: []locks.Stage{{}}}, nil)
	for _, doc := range []any{
		watchDoc{Locks: []watchLock{{}}, Open: []watchProcess{{}}, WAL: &watchWAL{Readers: []watchReader{{}}}},
		map[string]watchHold{"hold": hold},
		map[string]watchHold{"alert": hold},
		map[string]string{"note": ""},
		map[string]watchSummary{"summary": {Processes: []watchTotal{{}}, WAL: &watchWALSummary{}}},
	} {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(watchManual, `"`+key[1]+`"`) {
				t.Errorf("--help-all does not name %q", key[1])
			}
		}
	}
}

// TestWatchMissed: time in which watch did not run is not silence.
func TestWatchMissed(t *testing.T) {
	var out bytes.Buffer
	f := newFollower(nil, newWatchOutput(watchConfig{format: "text", interval: 10 * time.Millisecond}, cli.Env{Stdout: &out}))
	f.last = watchTime
	if err := f.changes(watchTime.Add(200*time.Millisecond), locks.View{}, nil); err != nil || out.Len() > 0 {
		t.Errorf("a short gap: %v, %s", err, out.String())
	}
	if err := f.changes(watchTime.Add(3400*time.Millisecond), locks.View{}, nil); err != nil {
		t.Fatal(err)
	}
	if want := "watch took no sample for 3.2 s"; !strings.Contains(out.String(), want) || f.missed != 3200*time.Millisecond {
		t.Errorf("got %q, missed %s", out.String(), f.missed)
	}
}
