package lab

import (
	"bytes"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"turnstile/internal/lab/report"
)

// A transaction that lasts is told while it lasts, once for each of its steps; a
// short one only when it has ended.
func TestOpenTransactionIsWritten(t *testing.T) {
	var b bytes.Buffer
	r := newRecorder(&b, false, true)
	r.zero = time.Now()
	lines := func() string {
		r.flush()
		var kinds []string
		for line := range strings.Lines(b.String()) {
			kind, _, _ := strings.Cut(line, " ")
			kinds = append(kinds, kind)
		}
		b.Reset()
		return strings.Join(kinds, " ")
	}
	want := func(want string) {
		t.Helper()
		if got := lines(); got != want {
			t.Errorf("lines %q, want %q", got, want)
		}
	}
	want("")
	r.begin(0, 1, 0)
	want("open")
	want("")
	r.wants()
	r.hasLock()
	want("open")
	want("")
	r.end(0)
	want("event")
	r.begin(1, 1, 0)
	r.end(0)
	want("event")
	r.begin(2, 1, 0)
	if err := r.finish(1); err != nil {
		t.Fatal(err)
	}
	want("event end")

	quiet := newRecorder(&b, false, false)
	quiet.begin(0, 1, 0)
	quiet.flush()
	if b.Len() > 0 {
		t.Errorf("nobody looks on, and it wrote %q", &b)
	}
}

func TestRecentEvents(t *testing.T) {
	r := &recentEvents{count: &atomic.Int64{}}
	first := report.Event{Rows: 1, Wants: 1 * ms, Begun: 2 * ms, Released: 4 * ms, End: 5 * ms}
	open := report.Event{First: 1, Rows: 1, Ready: 5 * ms, Wants: 6 * ms, Begun: -1, Released: -1, End: 7 * ms, Unfinished: true}
	second := report.Event{First: 1, Rows: 1, Ready: 5 * ms, Wants: 6 * ms, Begun: -1, Released: -1, End: 20 * ms, Code: 5}
	want := func(now time.Duration, want ...report.Event) {
		t.Helper()
		if got := r.take(now); !reflect.DeepEqual(got, want) {
			t.Errorf("at %s got %+v, want %+v", now, got, want)
		}
	}
	want(0)
	r.add(first)
	line := strings.TrimSpace(string(appendEvent(nil, open)))
	if err := r.setOpen(line); err != nil {
		t.Fatal(err)
	}
	open.End = 8 * ms
	want(8*ms, first, open)
	open.End = 9 * ms
	want(9*ms, open) // as long as it lasts
	r.add(second)
	want(30*ms, second)
	want(40 * ms)

	r.count.Store(maxLive)
	r.add(second)
	want(50 * ms)
	if err := r.setOpen("event 1"); err == nil {
		t.Error("half a line was read")
	}
	var none *recentEvents
	none.add(first)
	if err := none.setOpen(line); err != nil {
		t.Error(err)
	}
}

func TestPartsMakeTheRecording(t *testing.T) {
	c := &children{live: true}
	s := report.Setting{Strategy: "queued", Processes: 2, Rows: 1}
	for _, w := range []struct {
		name   string
		number int
	}{{"P1", 1}, {"P2", 2}, {report.WriterName, 0}} {
		worker := &worker{trace: report.Trace{Process: w.name, Number: w.number, PID: 100 + w.number}, recent: &recentEvents{count: &c.liveCount}}
		if w.number == 0 {
			c.writer = worker
		} else {
			c.workers = append(c.workers, worker)
		}
	}
	c.workers[1].recent.add(report.Event{Rows: 1, Wants: ms, Begun: -1, Released: -1, End: 2 * ms})
	zero := time.Now()
	part := c.recent(s, zero)
	if part.Dropped != nil || !part.Zero.Equal(zero) || len(part.Lanes) != 3 {
		t.Fatalf("part %+v", part)
	}
	for i, want := range []report.Lane{
		{Process: "P1", PID: 101, WaitsFor: report.WaitsForQueue, Events: []report.Event{}},
		{Process: "P2", PID: 102, WaitsFor: report.WaitsForQueue, Events: []report.Event{{Rows: 1, Wants: ms, Begun: -1, Released: -1, End: 2 * ms}}},
		{Process: report.WriterName, PID: 100, WaitsFor: report.WaitsForLock, Events: []report.Event{}},
	} {
		if !reflect.DeepEqual(part.Lanes[i], want) {
			t.Errorf("lane %+v, want %+v", part.Lanes[i], want)
		}
	}
	c.liveCount.Store(maxLive + 5)
	if part = c.recent(s, zero); part.Dropped == nil || part.Dropped.Events != maxLive+5 {
		t.Errorf("dropped %+v", part.Dropped)
	}
}
