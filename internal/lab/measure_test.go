package lab

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
)

// lines says which rows of which processes are in the table.
func lines(byProcess map[int][]int) tableRows {
	t := tableRows{}
	for p, ls := range byProcess {
		t[p] = map[int]bool{}
		for _, l := range ls {
			t[p][l-firstLine] = true
		}
	}
	return t
}

// done is an account of rows that all went well, 10 ms each.
func done(process, rows int) account {
	a := account{Name: fmt.Sprint("P", process), Process: process, Ended: true, Taken: rows}
	for i := range rows {
		from := time.Duration(i) * 10 * ms
		a.Records = append(a.Records, Record{First: i, Rows: 1, Ready: from, Want: from, Got: from + ms, End: from + 10*ms})
		a.EndAt = from + 10*ms
	}
	return a
}

func TestCountsAddUp(t *testing.T) {
	rows := Setting{Strategy: "direct", Processes: 2, Rows: 3, Sync: "full"}
	timed := rows
	timed.Rows, timed.For = 0, 30*ms
	refused := done(2, 3)
	refused.Records[1].Code = 5
	inHand := done(2, 3)
	inHand.Records[2].Unfinished = true
	inHand.EndAt = time.Hour
	died := done(2, 1)
	died.Ended, died.Died = false, "signal: killed"
	short := done(2, 2) // ended as if it were done
	all := []int{2, 3, 4}

	for _, test := range []struct {
		name                             string
		s                                Setting
		second                           account
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
			got := measure(test.s, []account{done(1, 3), test.second}, nil, lines(test.table), test.stopped)
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
	second.Records[0].Code = 5
	got := measure(s, []account{done(1, 3), second}, nil, lines(map[int][]int{1: {2, 3, 5}}), false)
	if got.Asked != 4 || got.Stored != 3 || got.Lost != 1 || got.Unaccounted != 0 {
		t.Errorf("got %+v", got)
	}
	got = measure(s, []account{done(1, 3), done(2, 1)}, nil, lines(map[int][]int{1: {2, 3, 5}}), false)
	if got.Lost != 0 || got.Unaccounted != 1 {
		t.Errorf("a row said to be done and not there: lost %d, unaccounted %d", got.Lost, got.Unaccounted)
	}
}

func TestWaitIsLessTheTask(t *testing.T) {
	s := Setting{Strategy: "direct", Processes: 1, Rows: 1, Task: 300 * ms, Sync: "full"}
	a := account{Name: "P1", Process: 1, Ended: true, Records: []Record{
		{Rows: 1, Ready: 100 * ms, Want: 100 * ms, Got: 150 * ms, Task: 301 * ms, End: 460 * ms},
	}}
	got := measure(s, []account{a}, nil, lines(map[int][]int{1: {2}}), false)
	if *got.Wait.Max != 59 || got.Wait.P99 != nil || *got.Seconds != 0.46 {
		t.Errorf("worst %v, p99 %v, seconds %v; want 59, nothing, 0.46", *got.Wait.Max, got.Wait.P99, *got.Seconds)
	}
}

// TestShutOutProcessIsSeen is the reason for counting waits that are not over:
// without them a process that never got in would have no waits at all.
func TestShutOutProcessIsSeen(t *testing.T) {
	s := Setting{Strategy: "immediate", Processes: 2, For: time.Second, Sync: "full"}
	shutOut := account{Name: "P2", Process: 2, Ended: true, Taken: 1, EndAt: 5 * time.Second, Records: []Record{
		{Rows: 1, Want: 0, Got: -1, End: 5 * time.Second, Unfinished: true},
	}}
	got := measure(s, []account{done(1, 100), shutOut}, nil, tableRows{}, false)
	if *got.Wait.Max != 5000 || got.Wait.Worst != "P2" || got.Wait.Samples != 101 {
		t.Errorf("worst wait %v of %s in %d samples, want 5000 of P2 in 101", *got.Wait.Max, got.Wait.Worst, got.Wait.Samples)
	}
	if got.Poorest != 0 || got.Richest != 100 || *got.Fairness != 0.5 {
		t.Errorf("%d-%d rows, index %v; want 0-100, 0.5", got.Poorest, got.Richest, *got.Fairness)
	}
	if *got.Wait.P99 > 20 {
		t.Errorf("p99 is %v: it is to hide the starved, that is the point", *got.Wait.P99)
	}
}

func TestOfferedWaitsFromWhenARowIsDue(t *testing.T) {
	// 2 processes at 20 rows/s together: P1's rows are due at 0, 100, 200, ... ms.
	s := Setting{Strategy: "short", Processes: 2, For: 500 * ms, Offered: 20, Sync: "full"}
	slow := account{Name: "P1", Process: 1, Ended: true, Taken: 2, EndAt: 450 * ms, Records: []Record{
		{Rows: 1, Ready: 0, End: 300 * ms},
		{First: 1, Rows: 1, Ready: 300 * ms, End: 310 * ms}, // due at 100
	}}
	got := measure(s, []account{slow}, nil, tableRows{}, false)
	// 300 and 210 of the rows it wrote; 250, 150 and 50 of those due at 200, 300
	// and 400 that it never came to.
	if got.Wait.Samples != 5 || *got.Wait.Max != 300 || math.Abs(*got.Wait.P50-210) > 1 {
		t.Errorf("%d samples, p50 %v, worst %v; want 5, 210, 300", got.Wait.Samples, *got.Wait.P50, *got.Wait.Max)
	}
}

func TestSharesAreTakenWhenTheFirstIsDone(t *testing.T) {
	s := Setting{Strategy: "direct", Processes: 2, Rows: 4, Sync: "full"}
	late := done(2, 4)
	for i := range late.Records {
		late.Records[i].End += 25 * ms
	}
	got := measure(s, []account{done(1, 4), late}, nil, tableRows{}, false)
	if got.Poorest != 1 || got.Richest != 4 {
		t.Errorf("%d-%d, want 1-4: after 40 ms", got.Poorest, got.Richest)
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

func TestWhoIsToBlame(t *testing.T) {
	got := measure(original(300*ms), originalAccounts(), nil, tableRows{}, false)
	if len(got.Lockouts) != 2 {
		t.Fatalf("got %+v", got.Lockouts)
	}
	want := "P2 row 1 waited 503ms [{P1 500ms 2}]"
	l := got.Lockouts[0]
	if s := fmt.Sprintf("%s row %d waited %s %v", l.Process, l.Row, l.Waited, l.By); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
	if h := got.Holders[0]; h.Process != "P1" || h.Held != 603*ms || h.Longest != 302*ms || h.Holds != 2 {
		t.Errorf("the longest holder is %+v", h)
	}
}

func TestWriterIsTheLast(t *testing.T) {
	s := Setting{Strategy: "queued", Processes: 1, Rows: 2, Sync: "full"}
	writer := account{Name: "writer", Ended: true, Records: []Record{{Rows: 2, Got: 30 * ms, End: 50 * ms}}}
	got := measure(s, []account{done(1, 2)}, &writer, lines(map[int][]int{1: {2, 3}}), false)
	if *got.Published != 0.02 || *got.Seconds != 0.05 || got.HeldSeconds <= 0.02 {
		t.Errorf("published %v, seconds %v, held %v", *got.Published, *got.Seconds, got.HeldSeconds)
	}
}

func TestMergeKeepsTheMedianRunWhole(t *testing.T) {
	runs := []Trial{made("short", 300), made("short", 100, worst(99)), made("short", 200, func(t *Trial) { t.Lost = 1 })}
	got := merge(runs)
	if got.Rate != 200 || got.Lost != 1 || got.Repeat != 3 {
		t.Errorf("got %+v", got)
	}
	want := map[string][2]float64{
		"rows_per_second": {100, 300}, "wait_max_ms": {8.25, 99}, "lost": {0, 1}, "unaccounted": {0, 0},
		"fairness": {0.998, 0.998}, "wait_p50_ms": {1.2, 1.2}, "seconds": {40. / 300, 0.4},
	}
	if !maps.Equal(got.Range, want) {
		t.Errorf("range %v, want %v", got.Range, want)
	}
}

func TestRecordSurvivesItsLine(t *testing.T) {
	for _, r := range []Record{
		{},
		{First: 7, Rows: 3, Ready: ms, Want: 2 * ms, Got: -1, End: 5 * ms, Task: ms, Code: 517},
		{First: math.MaxUint32, Rows: 1, Want: -1, Got: -1, End: time.Hour, Unfinished: true},
	} {
		got, err := parseRecord(strings.TrimSuffix(string(r.append(nil)), "\n"))
		if err != nil || got != r {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
	for _, bad := range []string{"", "R 1", "R 1 2 3 4 5 6 7 8 x", "Q 1 2 3 4 5 6 7 8 9"} {
		if _, err := parseRecord(bad); err == nil {
			t.Errorf("%q is taken for a record", bad)
		}
	}
}

// TestHandInIsTheLastWord: what a process does after its time is up is not
// reported any more.
func TestHandInIsTheLastWord(t *testing.T) {
	var b bytes.Buffer
	r := newRecorder(&b, false)
	r.zero = time.Now()
	r.begin(2, 1, 0)
	if err := r.handIn(1); err != nil {
		t.Fatal(err)
	}
	r.end(0)
	r.flush()
	out := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(out) != 2 || !strings.HasSuffix(out[0], " 1") || !strings.HasPrefix(out[1], "end 1 ") {
		t.Errorf("got %q", out)
	}
}

func TestRowsAreDealtOutOnce(t *testing.T) {
	for _, k := range []int{1, 3} {
		s := Setting{Processes: 4, Rows: 5, PerTransaction: k}
		seen := map[row]bool{}
		for p := 1; p <= s.Processes; p++ {
			for n := range s.Rows {
				r := s.row(p, n)
				if seen[r] {
					t.Fatalf("row %d twice", r)
				}
				seen[r] = true
				if op, on := s.owner(r); op != p || on != n {
					t.Errorf("row %d of P%d is taken for row %d of P%d", n, p, on, op)
				}
				if n%k != 0 && r != s.row(p, n-1)+1 {
					t.Errorf("rows of a transaction are not adjacent: %d", r)
				}
			}
		}
		for n := range s.Processes * s.Rows {
			if !seen[s.nth(n)] {
				t.Errorf("the queue has row %d, which no process has", s.nth(n))
			}
		}
	}
}
