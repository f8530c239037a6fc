package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
)

// TestRecorder: the recording has a lane for each process and purpose, and what
// is written can be read back.
func TestRecorder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "night.json")
	r := newRecorder(file, "/srv/app.db", watchTime)
	write := locks.Lock{PID: 7, Command: "python3 job.py", Name: locks.WALWrite}
	read := locks.Lock{PID: 7, Command: "python3 job.py", Name: locks.WALRead}
	wal := func(bytes int64) *locks.WALState {
		return &locks.WALState{Size: bytes, PageSize: 4096, Readers: []locks.Reader{{PID: 7, Pinned: uint32(bytes / 4120)}}}
	}
	for _, look := range []struct {
		ms    int
		locks []locks.Lock
		wal   int64
	}{{0, []locks.Lock{write}, 4120}, {200, []locks.Lock{write, read}, 8240}, {300, []locks.Lock{read}, 8240}, {1500, []locks.Lock{write}, 8240}} {
		at := watchTime.Add(time.Duration(look.ms) * time.Millisecond)
		if err := r.add(at, locks.View{Locks: look.locks, WAL: wal(look.wal)}); err != nil {
			t.Fatal(err)
		}
	}
	r.note(watchTime.Add(time.Second), "gap", nil, "watch took no sample")
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", " "); err != nil {
		t.Fatal(err)
	}
	golden(t, "watch-recording", indented.String())
	if _, recording, err := report.Read(bytes.NewReader(text)); err != nil || recording == nil {
		t.Errorf("it cannot be read back: %v", err)
	}
	trace := filepath.Join(t.TempDir(), "trace.json")
	env := cli.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
	err = showSaved(t.Context(), []string{file, "--trace", trace}, env)
	if text, _ := os.ReadFile(trace); err != nil || !json.Valid(text) || strings.Count(string(text), `"has the lock"`) != 2 || strings.Contains(string(text), "handed over") {
		t.Errorf("%v, trace:\n%s", err, text)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRecorderIsBounded: the newest holds are kept, and short ones do not push
// out long ones.
func TestRecorderIsBounded(t *testing.T) {
	r := newRecorder("", "", watchTime)
	r.keep(locks.Hold{PID: 1, Lock: locks.WALWrite, From: watchTime, Until: watchTime.Add(time.Minute)})
	for i := range 5 * maxRecorded {
		at := watchTime.Add(time.Duration(i) * 20 * time.Millisecond)
		r.keep(locks.Hold{PID: 2, Lock: locks.WALWrite, From: at, Until: at.Add(10 * time.Millisecond), Ended: true})
		r.walBytes.sample(at, int64(i))
	}
	rec := r.recording()
	if len(rec.Lanes) != 2 || rec.Lanes[0].PID != 1 || len(rec.Lanes[0].Events) != 1 {
		t.Fatalf("the long hold is gone: %d lanes", len(rec.Lanes))
	}
	kept := rec.Lanes[1].Events
	if n := len(kept); n < maxRecorded || n > 2*maxRecorded || kept[n-1].End != (5*maxRecorded-1)*20*time.Millisecond+10*time.Millisecond {
		t.Errorf("%d short holds are kept, want the newest %d to %d", n, maxRecorded, 2*maxRecorded)
	}
	if n := len(rec.Notes); n != 1 || !strings.Contains(rec.Notes[0].Text, "older holds were dropped, 0 of them of 100ms or more") {
		t.Errorf("notes %+v", rec.Notes)
	}
	if n := len(rec.Series[0].At); n > 5*maxRecorded/50+1 {
		t.Errorf("%d sizes in %d s, want one a second", n, 5*maxRecorded/50)
	}
}

func TestRecordRefusesFolder(t *testing.T) {
	r := newRecorder(filepath.Join(t.TempDir(), "absent", "night.json"), "app.db", watchTime)
	if err := r.save(); err == nil || !strings.Contains(err.Error(), "write the recording") {
		t.Errorf("a folder that does not exist: %v", err)
	}
}

func TestReportRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	recording := write("recording", `{"version":1,"source":"watch","title":"watch app.db","zero":"2026-01-02T03:04:05Z","lanes":[],"notes":[],"series":[],"dropped":null}`)
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{nil, 2, "want one FILE"},
		{[]string{filepath.Join(dir, "absent")}, 1, "absent"},
		{[]string{write("text", "no JSON")}, 1, "neither a result in JSON nor a recording"},
		{[]string{write("newer", `{"version":99,"source":"watch","lanes":[]}`)}, 1, "version 99"},
		{[]string{recording, "--at", "noon"}, 2, `--at is "noon", want a time`},
		{[]string{recording, "--format", "csv"}, 2, "--format csv is for results"},
		{[]string{recording}, 0, ""},
		{[]string{recording, "--format", "json"}, 0, ""},
	} {
		var out, errs bytes.Buffer
		env := cli.Env{Stdout: &out, Stderr: &errs}
		status := cli.Status("contention", env, showSaved(t.Context(), c.args, env), hint)
		if status != c.status || !strings.Contains(errs.String(), c.stderr) || (status == 0) != (out.Len() > 0) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want status %d, %q", c.args, status, out.String(), errs.String(), c.status, c.stderr)
		}
	}
}
