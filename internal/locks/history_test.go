package locks

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func holds(all []Hold) string {
	var words []string
	for _, h := range all {
		w := fmt.Sprintf("%d %s %d-%d", h.PID, h.Lock, h.From.Sub(start).Milliseconds(), h.Until.Sub(start).Milliseconds())
		if h.Ended {
			w += " ended"
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

func TestTracker(t *testing.T) {
	tr := NewTracker(100 * time.Millisecond)
	for _, s := range []struct {
		ms      int
		locks   []Lock
		changed bool
		want    string
	}{
		{0, nil, true, ""},
		{50, []Lock{{PID: 7, Name: Reserved}}, true, ""},
		{100, []Lock{{PID: 7, Name: Reserved}, {PID: 8, Name: Shared}}, false, ""},
		{150, []Lock{{PID: 7, Name: Exclusive}, {PID: 8, Name: Shared}}, true, "7 exclusive 50-150"}, // one hold, now long
		{200, []Lock{{PID: 7, Name: Exclusive}}, false, ""},                                          // 8 was short; 7 was said
		{250, nil, false, "7 exclusive 50-200 ended"},
		{300, []Lock{{PID: 7, Name: Reserved}}, false, ""}, // a new one
		{350, nil, false, ""}, // short
	} {
		if got := holds(tr.Add(at(s.ms), s.locks, s.changed)); got != s.want {
			t.Errorf("at %d: got %q, want %q", s.ms, got, s.want)
		}
	}
	want := Summary{
		From: at(0), Until: at(350), Samples: 8, LongestGap: 50 * time.Millisecond, WriteLocked: 5,
		Totals: []Total{
			{PID: 7, Class: Write, Lock: Exclusive, Samples: 5, Holds: 1, Longest: 150 * time.Millisecond},
			{PID: 8, Class: Read, Lock: Shared, Samples: 2, Holds: 0, Longest: 50 * time.Millisecond},
		},
	}
	if got := tr.Summary(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTotalsAreBounded(t *testing.T) {
	tr := NewTracker(0)
	for i := range 3 * maxTotals {
		tr.Add(at(i), []Lock{{PID: 1, Name: Reserved}, {PID: i + 2, Name: Shared}}, false)
	}
	s := tr.Summary()
	if n := len(s.Totals); n > maxTotals || n+s.Dropped != 3*maxTotals+1 || s.Totals[0].PID != 1 || s.Totals[0].Samples != 3*maxTotals {
		t.Errorf("%d totals and %d dropped, the first %+v", n, s.Dropped, s.Totals[0])
	}
}

func TestStages(t *testing.T) {
	tr := NewTracker(0)
	var last []Hold
	for _, s := range []struct {
		ms   int
		lock Name
	}{{0, Reserved}, {50, Reserved}, {100, Pending}, {110, Exclusive}, {120, Exclusive}, {130, ""}} {
		var locks []Lock
		if s.lock != "" {
			locks = []Lock{{PID: 7, Name: s.lock, Idle: s.lock == Exclusive}}
		}
		last = tr.Add(at(s.ms), locks, false)
	}
	want := []Stage{{Reserved, 100 * time.Millisecond}, {Pending, 10 * time.Millisecond}, {Exclusive, 10 * time.Millisecond}}
	if len(last) != 1 || !reflect.DeepEqual(last[0].Stages, want) || last[0].Seen() != 120*time.Millisecond || last[0].Idle() {
		t.Errorf("got %+v, want the stages %v", last, want)
	}
	if last[0].Lock != Exclusive || last[0].Mostly() != Reserved {
		t.Errorf("the strongest lock is %s, and mostly it was %s; want exclusive and reserved", last[0].Lock, last[0].Mostly())
	}
}

func TestChangesAreCountedWithinAHold(t *testing.T) {
	tr := NewTracker(0)
	for i, changed := range []bool{true, true, false, true} {
		tr.Add(at(i), []Lock{{PID: 7, Name: WALWrite}}, changed)
	}
	if h := tr.Current(); len(h) != 1 || !h[0].Older || h[0].Changes != 2 || h[0].Samples != 4 {
		t.Errorf("got %+v, want 2 changes: what was written before the first sample is not this hold's", h)
	}
}

func TestHistory(t *testing.T) {
	h := NewHistory()
	for _, s := range []struct {
		ms    int
		locks []Lock
	}{
		{0, []Lock{{PID: 1, Name: Reserved}, {PID: 9, Name: Shared}}},
		{10, []Lock{{PID: 1, Name: Exclusive}, {PID: 9, Name: Shared}}},
		{20, []Lock{{PID: 2, Name: Reserved}, {PID: 9, Name: Shared}}},
		{30, []Lock{{PID: 2, Name: Reserved}}},
		{40, nil},
		{50, []Lock{{PID: 3, Name: WALWrite}}},
		{60, []Lock{{PID: 3, Name: WALWrite}}},
	} {
		h.Add(at(s.ms), s.locks, false)
	}
	for _, c := range []struct {
		from, to int
		during   string
		writer   int
	}{
		{5, 5, "1 exclusive 0-10 ended, 9 shared 0-20 ended", 1},
		{5, 25, "1 exclusive 0-10 ended, 2 reserved 20-30 ended, 9 shared 0-20 ended", 1},
		{9, 30, "1 exclusive 0-10 ended, 2 reserved 20-30 ended, 9 shared 0-20 ended", 2},
		{41, 49, "", 0},
		{55, 100, "3 wal-write 50-60", 3},
		{61, 100, "", 0},
	} {
		if got := holds(h.During(at(c.from), at(c.to))); got != c.during {
			t.Errorf("%d to %d: got %q, want %q", c.from, c.to, got, c.during)
		}
		if w, ok := h.Writer(at(c.from), at(c.to)); w.PID != c.writer || ok != (c.writer > 0) {
			t.Errorf("%d to %d: writer %d, %v, want %d", c.from, c.to, w.PID, ok, c.writer)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := NewHistory()
	const limit = 1000
	h.limit = limit
	for i := range 3 * limit {
		h.Add(at(i), []Lock{{PID: i + 1, Name: WALWrite}}, false)
	}
	if n := len(h.ended); n < limit || n > 2*limit {
		t.Errorf("remembers %d holds, want %d to %d", n, limit, 2*limit)
	}
	if w, ok := h.Writer(at(3*limit-2), at(3*limit-2)); !ok || w.PID != 3*limit-1 {
		t.Errorf("the last ones must be there: %+v, %v", w, ok)
	}
}
