package web

// The messages of a running trial, in the page that shows them.

import (
	"testing"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/web/webtest"
)

// The legend of a watch tells those who block nobody from those who hold the lock.
func TestLegendOfAWatch(t *testing.T) {
	hub := NewHub()
	s, err := NewLabServer(Options{Addr: "127.0.0.1:0", Events: hub})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	page := webtest.Open(t, s.URL())
	lane := func(process, lock string) report.Lane {
		return report.Lane{Process: process, Events: []report.Event{{Released: time.Second, End: time.Second, Lock: lock}}}
	}
	for _, c := range []struct {
		lanes []report.Lane
		want  string
	}{
		{[]report.Lane{lane("101", "wal-write")}, "holds the lock"},
		{[]report.Lane{lane("101", "wal-write"), lane("102 read", "wal-read")}, "holds the lock|reads, or copies the WAL: blocks no writer"},
		{[]report.Lane{lane("101", "reserved"), lane("102 read", "shared")}, "holds the lock"},
	} {
		r := report.Recording{Version: 1, Source: "watch", Title: "watch app.db", Lanes: c.lanes, Notes: []report.Note{}, Series: []report.Series{}}
		if err := hub.Replace("recording", NewRecordingMessage(1, false, r)); err != nil {
			t.Fatal(err)
		}
		page.Wait(`[...document.getElementById("legend").children].filter(li => li.offsetParent).map(li => li.textContent).join("|") === "` + c.want + `"`)
	}
}

// An event that is open at the end of a part goes on in the next one: the parts of
// a recording make the recording.
func TestPartsMakeTheWhole(t *testing.T) {
	const ms = time.Millisecond
	first := report.Event{Rows: 1, Wants: ms, Begun: 2 * ms, Released: 4 * ms, End: 5 * ms}
	second := report.Event{First: 1, Rows: 1, Ready: 5 * ms, Wants: 6 * ms, Begun: 7 * ms, Released: 20 * ms, End: 21 * ms}
	third := report.Event{First: 2, Rows: 1, Ready: 21 * ms, Wants: 22 * ms, Begun: -1, Released: -1, End: 90 * ms, Code: 5}
	waits, holds := second, second
	waits.Begun, waits.Released, waits.End, waits.Unfinished = -1, -1, 7*ms, true
	holds.Released, holds.End, holds.Unfinished = -1, 12*ms, true

	hub := NewHub()
	s, err := NewLabServer(Options{Addr: "127.0.0.1:0", Events: hub})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	page := webtest.Open(t, s.URL())
	recording := func(events ...report.Event) report.Recording {
		return report.Recording{
			Version: 1, Source: "trial", Title: "direct, 1 process", Zero: time.Unix(0, 0), Notes: []report.Note{}, Series: []report.Series{},
			Lanes: []report.Lane{{Process: "P1", PID: 101, WaitsFor: report.WaitsForLock, Events: append([]report.Event{}, events...)}},
		}
	}
	const lane = `(l => Array.from({length: l.n}, (_, i) => [l.first[i], l.begun[i], l.end[i], l.code[i], l.open[i]].join(" ")).join(", "))(recordings.get(1).lanes[0])`
	for i, c := range []struct {
		part []report.Event
		want string
	}{
		{[]report.Event{first, waits}, "0 2000 5000 0 0, 1 -1 7000 0 1"},
		{[]report.Event{holds}, "0 2000 5000 0 0, 1 7000 12000 0 1"},
		{nil, "0 2000 5000 0 0, 1 7000 12000 0 1"},
		{[]report.Event{second, third}, "0 2000 5000 0 0, 1 7000 21000 0 0, 2 -1 90000 5 0"},
	} {
		if err := hub.Publish("trial 1", NewRecordingMessage(1, i > 0, recording(c.part...))); err != nil {
			t.Fatal(err)
		}
		page.Wait(`recordings.has(1) && ` + lane + ` === "` + c.want + `"`)
	}
	if err := hub.Replace("trial 1", NewRecordingMessage(1, false, recording(first, second, third))); err != nil {
		t.Fatal(err)
	}
	page.Wait(lane + ` === "0 2000 5000 0 0, 1 7000 21000 0 0, 2 -1 90000 5 0"`)
}
