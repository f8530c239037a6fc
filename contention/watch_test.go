package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
)

func runWatch(ctx context.Context, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	status = cli.Status("contention", env, watch(ctx, args, env))
	return out.String(), errs.String(), status
}

func TestWatchRefuses(t *testing.T) {
	dir := t.TempDir()
	text, app := filepath.Join(dir, "notes.txt"), filepath.Join(dir, "app.db")
	if err := os.WriteFile(text, []byte("just some text, longer than a header"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{app, "--once"}, 1, "app.db"},
		{[]string{app}, 1, "app.db"},
		{[]string{text, "--once", "--format", "json"}, 1, "not an SQLite database"},
		{[]string{text}, 1, "not an SQLite database"},
		{[]string{dir, "--once"}, 1, dir},
		{[]string{app + "-wal"}, 1, "hint: name the database itself: contention watch " + app + "\n"},
		{nil, 2, "which database?"},
		{[]string{app, text}, 2, "one database at a time"},
		{[]string{app, "--format", "yaml"}, 2, `--format is "yaml"`},
		{[]string{app, "--interval", "0s"}, 2, "--interval is 0s"},
	} {
		out, errs, status := runWatch(t.Context(), c.args...)
		if status != c.status || out != "" || !strings.Contains(errs, c.stderr) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want status %d, %q", c.args, status, out, errs, c.status, c.stderr)
		}
	}
}

var watchTime = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func TestWatchText(t *testing.T) {
	free := watchDoc{File: "app.db", At: watchTime, Mode: locks.WAL, Visible: true}
	locked, stopped, reading, hidden := free, free, free, free
	locked.Mode = locks.Rollback
	locked.Locks = []watchLock{{7, "python3 job.py", locks.Reserved, 2345}, {8, "sqlite3 app.db", locks.Shared, 0}}
	locked.Open = []watchProcess{{9, "node web.js"}, {10, ""}}
	locked.stopped = map[int]bool{10: true}
	stopped.Locks = []watchLock{{7, "job", locks.WALWrite, 0}}
	stopped.stopped, stopped.Note = map[int]bool{7: true}, "7 holds a lock and is stopped"
	reading.Locks, reading.Open = []watchLock{{7, "job", locks.WALRead, 0}}, []watchProcess{{9, "web"}}
	hidden.Visible, hidden.Note = false, "held by a process that can't be seen from here: wal-write"
	hidden.Locks = []watchLock{{locks.Hidden, "", locks.WALWrite, 0}}
	for name, c := range map[string]struct {
		doc  watchDoc
		want string
	}{
		"free": {free, `app.db at 03:04:05.678 (WAL mode): not locked
hint: a lock is often held for milliseconds only: contention watch FILE, without --once, sees those too
`},
		"locked": {locked, `app.db at 03:04:05.678 (rollback-journal mode): locked for writing

  7 python3 job.py
    reserved: is in a transaction that writes: others can read, none can write
    for 2.3 s at least

  8 sqlite3 app.db
    shared: is in a transaction that reads: others can read, none can commit

Have it open and hold nothing; they may be waiting (SQLite polls: a waiter leaves no trace):
  9 node web.js
  process 10 (stopped)
hint: if it stays: look where process 7 works between its first write and COMMIT, and move that before BEGIN; kill 7 frees the lock at once, and what it had not committed is rolled back
`},
		"stopped": {stopped, `app.db at 03:04:05.678 (WAL mode): locked for writing

  7 job (stopped)
    wal-write: is in a transaction that writes: others can read, none can write

note: 7 holds a lock and is stopped
hint: kill -CONT 7 lets it go on
`},
		"reading": {reading, `app.db at 03:04:05.678 (WAL mode): being read; open to readers and writers

  7 job
    wal-read: is in a transaction that reads: no one has to wait for it, but the WAL can't start anew

Have it open and hold nothing:
  9 web
`},
		"hidden": {hidden, `app.db at 03:04:05.678 (WAL mode): locked for writing

  a process that can't be seen from here
    wal-write: is in a transaction that writes: others can read, none can write

note: held by a process that can't be seen from here: wal-write
`},
	} {
		if got := watchText(c.doc, false); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
	if got := watchText(free, true); !strings.Contains(got, "\x1b[32mnot locked\x1b[0m") {
		t.Errorf("no colour: %q", got)
	}
}

func TestWatchHoldText(t *testing.T) {
	h := locks.Hold{PID: 7, Command: "job", Lock: locks.WALWrite, From: watchTime, Until: watchTime.Add(1234 * time.Millisecond), Samples: 120}
	open := func() []locks.Process {
		return []locks.Process{{PID: 1, Command: "a", Stopped: true}, {PID: 2, Command: "b"}, {PID: 3, Command: "c"}, {PID: 4, Command: "d"}}
	}
	ended, busy := h, h
	ended.Ended = true
	busy.Ended, busy.Changes = true, 100
	reading, older := h, ended
	reading.Lock, reading.Older = locks.WALRead, true
	older.Older = true
	for want, hold := range map[string]locks.Hold{
		"7 job has the write lock (wal-write) since 03:04:05.678; may be waiting: 1 a (stopped), 2 b, 3 c, and 1 more":                            h,
		"7 job let go of the write lock (wal-write) after 1.2 s; one transaction":                                                                 ended,
		"7 job let go of the write lock (wal-write) after 1.2 s or more; one transaction":                                                         older,
		"7 job let go of the write lock (wal-write) after 1.2 s; the file changed 100 times meanwhile: probably many short transactions in a row": busy,
		"7 job has a read lock (wal-read) since 03:04:05.678 or earlier":                                                                          reading,
	} {
		if got := holdText(hold, open); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
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
	const want = `
Watched for 1m30s: looked 9000 times, at most 31 ms apart. Someone had the write lock in 33 % of them.

  lock       of the time  longest  100ms or more  process
  exclusive  33 %         1.2 s    12             7 python3 job.py
  shared     1 %          20 ms    0              9 web
`
	if got := summaryText(newWatchSummary("app.db", 10*time.Millisecond, s, true)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
