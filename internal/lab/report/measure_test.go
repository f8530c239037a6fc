package report

import (
	"fmt"
	"maps"
	"math"
	"testing"
	"time"
)

// lines says which rows of which processes are in the table.
func lines(byProcess map[int][]int) StoredRows {
	t := StoredRows{}
	for p, ls := range byProcess {
		for _, l := range ls {
			t.Add(p, l-2) // the first line of a file is its header
		}
	}
	return t
}

// done is an recording of rows that all went well, 10 ms each.
func done(process, rows int) recording {
	a := recording{Trace: Trace{Process: fmt.Sprint("P", process), Number: process, Ended: true, Taken: rows}}
	for i := range rows {
		from := time.Duration(i) * 10 * ms
		a.list = append(a.list, Event{First: i, Rows: 1, Ready: from, Wants: from, Begun: from + ms, Released: from + 10*ms, End: from + 10*ms})
		a.EndAt = from + 10*ms
	}
	return a
}

func TestCountsAddUp(t *testing.T) {
	rows := Setting{Strategy: "direct", Processes: 2, Rows: 3, Sync: "full"}
	timed := rows
	timed.Rows, timed.For = 0, 30*ms
	refused := done(2, 3)
	refused.list[1].Code = 5
	inHand := done(2, 3)
	inHand.list[2].Unfinished = true
	inHand.EndAt = time.Hour
	died := done(2, 1)
	died.Ended, died.Died = false, "signal: killed"
	short := done(2, 2) // ended as if it were done
	all := []int{2, 3, 4}

	for _, test := range []struct {
		name                             string
		s                                Setting
		second                           recording
		table                            map[int][]int
		stopped                          bool
		asked, stored, lost, unaccounted int
	}{
		{"all well", rows, done(2, 3), map[int][]int{1: all, 2: all}, false, 6, 6, 0, 0},
		{"one refused", rows, refused, map[int][]int{1: all, 2: {2, 4}}, false, 6, 5, 1, 0},
		{"refused, and yet in the table", rows, refused, map[int][]int{1: all, 2: all}, false, 6, 6, 0, 0},
		{"said to be done, and not in the table", rows, done(2, 3), map[int][]int{1: all, 2: {2, 4}}, false, 6, 5, 0, 1},
		{"one swapped for another", rows, refused, map[int][]int{1: all, 2: {2, 3}}, false, 6, 5, 0, 1},
		{"died with a row in hand", rows, died, map[int][]int{1: all, 2: {2}}, false, 6, 4, 2, 0},
		{"died after the commit, before the word", rows, died, map[int][]int{1: all, 2: {2, 3}}, false, 6, 5, 1, 0},
		{"deadline", rows, inHand, map[int][]int{1: all, 2: {2, 3}}, false, 6, 5, 1, 0},
		{"deadline, and it was committed", rows, inHand, map[int][]int{1: all, 2: all}, false, 6, 6, 0, 0},
		{"a row that no one took up", rows, short, map[int][]int{1: all, 2: {2, 3}}, false, 6, 5, 0, 1},
		{"a row too many", rows, done(2, 3), map[int][]int{1: all, 2: {2, 3, 4, 9}}, false, 6, 7, 0, -1},
		{"Ctrl-C takes the row in hand back", rows, inHand, map[int][]int{1: all, 2: {2, 3}}, true, 5, 5, 0, 0},
		{"Ctrl-C, and it was committed", rows, inHand, map[int][]int{1: all, 2: all}, true, 6, 6, 0, 0},
		{"by time", timed, refused, map[int][]int{1: all, 2: {2, 4}}, false, 6, 5, 1, 0},
		{"by time, died", timed, died, map[int][]int{1: all, 2: {2, 3}}, false, 5, 5, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Measure(test.s, traces(done(1, 3), test.second), nil, lines(test.table), test.stopped)
			if got.Asked != test.asked || got.Stored != test.stored || got.Lost != test.lost || got.Unaccounted != test.unaccounted {
				t.Errorf("asked %d, stored %d, lost %d, unaccounted %d; want %d, %d, %d, %d", got.Asked, got.Stored, got.Lost, got.Unaccounted,
					test.asked, test.stored, test.lost, test.unaccounted)
			}
			if got.Asked != got.Stored+got.Lost+got.Unaccounted {
				t.Error("the counts don't add up")
			}
		})
	}
}

func TestSharedQueueCounts(t *testing.T) {
	s := Setting{Strategy: "consumers", Processes: 2, Rows: 2, Sync: "full"}
	second := done(2, 1)
	second.list[0].Code = 5
	got := Measure(s, traces(done(1, 3), second), nil, lines(map[int][]int{1: {2, 3, 5}}), false)
	if got.Asked != 4 || got.Stored != 3 || got.Lost != 1 || got.Unaccounted != 0 {
		t.Errorf("got %+v", got)
	}
	got = Measure(s, traces(done(1, 3), done(2, 1)), nil, lines(map[int][]int{1: {2, 3, 5}}), false)
	if got.Lost != 0 || got.Unaccounted != 1 {
		t.Errorf("a row said to be done and not there: lost %d, unaccounted %d", got.Lost, got.Unaccounted)
	}
}

func TestWaitIsLessTheTask(t *testing.T) {
	s := Setting{Strategy: "direct", Processes: 1, Rows: 1, Task: 300 * ms, Sync: "full"}
	a := recording{Trace: Trace{Process: "P1", Number: 1, Ended: true}, list: []Event{
		{Rows: 1, Ready: 100 * ms, Wants: 100 * ms, Begun: 150 * ms, Released: 460 * ms, Task: 301 * ms, End: 460 * ms},
	}}
	got := Measure(s, traces(a), nil, lines(map[int][]int{1: {2}}), false)
	if *got.Wait.Max != 59 || got.Wait.P99 != nil || *got.Seconds != 0.46 {
		t.Errorf("worst %v, p99 %v, seconds %v; want 59, nothing, 0.46", *got.Wait.Max, got.Wait.P99, *got.Seconds)
	}
}

// TestStarvedProcessIsMeasured is why waits that are not over count: without them a process
// that never got the lock would have no waits at all.
func TestStarvedProcessIsMeasured(t *testing.T) {
	s := Setting{Strategy: "immediate", Processes: 2, For: time.Second, Sync: "full"}
	starvedProcess := recording{Trace: Trace{Process: "P2", Number: 2, Ended: true, Taken: 1, EndAt: 5 * time.Second}, list: []Event{
		{Rows: 1, Wants: 0, Begun: -1, Released: -1, End: 5 * time.Second, Unfinished: true},
	}}
	got := Measure(s, traces(done(1, 100), starvedProcess), nil, StoredRows{}, false)
	if *got.Wait.Max != 5000 || got.Wait.Worst != "P2" || got.Wait.Samples != 101 {
		t.Errorf("worst wait %v of %s in %d samples, want 5000 of P2 in 101", *got.Wait.Max, got.Wait.Worst, got.Wait.Samples)
	}
	if got.MinRows != 0 || got.MaxRows != 100 || *got.Fairness != 0.5 {
		t.Errorf("%d-%d rows, index %v; want 0-100, 0.5", got.MinRows, got.MaxRows, *got.Fairness)
	}
	if *got.Wait.P99 > 20 {
		t.Errorf("p99 is %v: it is to hide the starved, that is the point", *got.Wait.P99)
	}
}

func TestOfferedWaitsFromWhenARowIsDue(t *testing.T) {
	// 2 processes at 20 rows/s together: P1's rows are due at 0, 100, 200, ... ms.
	s := Setting{Strategy: "short", Processes: 2, For: 500 * ms, Offered: 20, Sync: "full"}
	slow := recording{Trace: Trace{Process: "P1", Number: 1, Ended: true, Taken: 2, EndAt: 450 * ms}, list: []Event{
		{Rows: 1, Ready: 0, End: 300 * ms},
		{First: 1, Rows: 1, Ready: 300 * ms, End: 310 * ms}, // due at 100
	}}
	got := Measure(s, traces(slow), nil, StoredRows{}, false)
	// 300 and 210 of the rows it wrote; 250, 150 and 50 of those due at 200, 300
	// and 400 that it never came to.
	if got.Wait.Samples != 5 || *got.Wait.Max != 300 || math.Abs(*got.Wait.P50-210) > 1 {
		t.Errorf("%d samples, p50 %v, worst %v; want 5, 210, 300", got.Wait.Samples, *got.Wait.P50, *got.Wait.Max)
	}
}

func TestProcessesAreComparedWhenTheFirstIsDone(t *testing.T) {
	s := Setting{Strategy: "direct", Processes: 2, Rows: 4, Sync: "full"}
	late := done(2, 4)
	for i := range late.list {
		late.list[i].End += 25 * ms
	}
	got := Measure(s, traces(done(1, 4), late), nil, StoredRows{}, false)
	if got.MinRows != 1 || got.MaxRows != 4 {
		t.Errorf("%d-%d, want 1-4: after 40 ms", got.MinRows, got.MaxRows)
	}
}

func TestJain(t *testing.T) {
	for want, rows := range map[float64][]int{1: {5, 5, 5}, 0.25: {8, 0, 0, 0}, 0.9: {1, 2}} {
		if got := jain(rows); math.Abs(*got-want) > 1e-9 {
			t.Errorf("jain(%v) = %v, want %v", rows, *got, want)
		}
	}
	if jain([]int{0, 0}) != nil {
		t.Error("nothing to share has an index")
	}
}

func TestWhoHeldTheLockMeanwhile(t *testing.T) {
	got := Measure(introductionSetting(300*ms), traces(introductionRecordings()...), nil, StoredRows{}, false)
	if len(got.Busy) != 2 {
		t.Fatalf("got %+v", got.Busy)
	}
	want := "P2 row 1 waited 503ms [{P1 499ms 2}]"
	l := got.Busy[0]
	if s := fmt.Sprintf("%s row %d waited %s %v", l.Process, l.Row, l.Waited, l.Holders); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
	if h := got.Holders[0]; h.Process != "P1" || h.Held != 601*ms || h.Longest != 301*ms || h.Holds != 2 {
		t.Errorf("the longest holder is %+v", h)
	}
}

func TestWriterIsTheLast(t *testing.T) {
	s := Setting{Strategy: "queued", Processes: 1, Rows: 2, Sync: "full"}
	writer := recording{Trace: Trace{Process: "writer", Ended: true}, list: []Event{{Rows: 2, Begun: 30 * ms, Released: 50 * ms, End: 50 * ms}}}
	got := Measure(s, traces(done(1, 2)), &traces(writer)[0], lines(map[int][]int{1: {2, 3}}), false)
	if *got.RowsPerCommit != 2 {
		t.Errorf("%v rows a commit, want 2", *got.RowsPerCommit)
	}
	if *got.Published != 0.02 || *got.Seconds != 0.05 || got.HeldSeconds <= 0.02 {
		t.Errorf("published %v, seconds %v, held %v", *got.Published, *got.Seconds, got.HeldSeconds)
	}
}

func TestMergeKeepsTheMedianRunWhole(t *testing.T) {
	runs := []Trial{made("short", 300), made("short", 100, worst(99)), made("short", 200, func(t *Trial) { t.Lost = 1 })}
	got := Merge(runs)
	if got.Rate != 200 || got.Lost != 1 || got.Repeat != 3 {
		t.Errorf("got %+v", got)
	}
	want := map[string][2]float64{
		"rows_per_second": {100, 300}, "wait_max_ms": {8.25, 99}, "lost": {0, 1}, "unaccounted": {0, 0},
		"fairness": {0.998, 0.998}, "wait_p50_ms": {1.2, 1.2}, "seconds": {0.133, 0.4},
	}
	if !maps.Equal(got.Range, want) {
		t.Errorf("range %v, want %v", got.Range, want)
	}
}

// TestLockWaitIsDivided: while P2 waits 100 ms, P1 holds the lock for 60 ms,
// and for 40 ms nobody does.
func TestLockWaitIsDivided(t *testing.T) {
	s := Setting{Strategy: "immediate", Processes: 2, Rows: 2, Sync: "full"}
	p1 := recording{Trace: Trace{Process: "P1", Number: 1, Ended: true}, list: []Event{
		{Rows: 1, Wants: 0, Begun: 0, Released: 30 * ms, End: 35 * ms},
		{First: 1, Rows: 1, Ready: 50 * ms, Wants: 50 * ms, Begun: 50 * ms, Released: 80 * ms, End: 80 * ms},
	}}
	p2 := recording{Trace: Trace{Process: "P2", Number: 2, Ended: true}, list: []Event{
		{Rows: 1, Wants: 0, Begun: -1, Released: -1, End: 100 * ms, Code: 5},
	}}
	got := Measure(s, traces(p1, p2), nil, StoredRows{}, false)
	if want := (LockWait{Total: 100 * ms, Free: 40 * ms, Contended: 60 * ms}); got.LockWait != want {
		t.Errorf("lock wait %+v, want %+v", got.LockWait, want)
	}
	b := got.Busy[0]
	if len(b.Holders) != 1 || b.Holders[0].Held != 60*ms || b.Holders[0].Holds != 2 || b.Free != 40*ms {
		t.Errorf("got %+v", b)
	}
	if want := " while P1 held the lock for 60 ms in 2 transactions and nobody for 40 ms"; heldMeanwhile(b) != want {
		t.Errorf("says %q, want %q", heldMeanwhile(b), want)
	}
}

// TestUnfinishedHoldIsNoWait: a process that is interrupted while it has the
// lock, or works, does not wait.
func TestUnfinishedHoldIsNoWait(t *testing.T) {
	for want, e := range map[time.Duration]Event{
		10 * ms:  {Ready: 0, Wants: 5 * ms, Begun: 10 * ms, Released: -1, End: 500 * ms, Unfinished: true},
		0:        {Ready: 0, Wants: -1, Begun: -1, Released: -1, End: 500 * ms, Unfinished: true},
		400 * ms: {Ready: 0, Wants: 5 * ms, Begun: -1, Released: -1, End: 400 * ms, Unfinished: true},
	} {
		if got := e.Wait(); got != want {
			t.Errorf("%+v waited %s, want %s", e, got, want)
		}
	}
}

// Times of the largest settings fit 64 bits.
func TestLongestTimes(t *testing.T) {
	s := Setting{Processes: 256, Rows: 1_000_000_000, For: LongestTime, Task: LongestTime, Offered: 0.001}
	if limit, due := s.Limit(), s.Due(1, s.Rows); limit < LongestTime || due != LongestTime {
		t.Errorf("the limit is %s, and the last row is due at %s; want %s or more, and %s", limit, due, LongestTime, LongestTime)
	}
}
