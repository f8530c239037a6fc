package report

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// StoredRows is the set of rows that are in the table, counted from 0 for each
// process. It takes a bit a row.
type StoredRows map[int][]uint64

// Add adds the n-th row of a process.
func (s StoredRows) Add(process, n int) {
	words := s[process]
	if grow := n/64 + 1 - len(words); grow > 0 {
		words = append(words, make([]uint64, grow)...)
	}
	words[n/64] |= 1 << (n % 64)
	s[process] = words
}

func (s StoredRows) has(process, n int) bool {
	words := s[process]
	return n/64 < len(words) && words[n/64]&(1<<(n%64)) != 0
}

func (s StoredRows) count(process int) int {
	n := 0
	for _, word := range s[process] {
		n += bits.OnesCount64(word)
	}
	return n
}

func (s StoredRows) total() int {
	n := 0
	for process := range s {
		n += s.count(process)
	}
	return n
}

// Measure makes a trial of what its processes recorded and of the rows that
// are in the table. The writer is nil for a strategy that has none.
func Measure(s Setting, processes []Trace, writer *Trace, stored StoredRows, interrupted bool) Trial {
	strategy := Find(s.Strategy)
	t := Trial{
		Setting: s, Journal: strategy.Journal, Errors: map[int]int{}, Repeat: 1, Range: map[string][2]float64{},
		StartSpread: startSpread(processes), Interrupted: interrupted,
	}
	t.BusyTimeout = s.Timeout()
	all := processes
	if writer != nil {
		all = append(slices.Clone(processes), *writer)
	}
	shared := strategy.Queue == FromQueue
	var tallies []tally
	for _, trace := range all {
		n := makeTally(trace, stored, shared)
		tallies = append(tallies, n)
		if trace.Died != "" {
			t.Deaths = append(t.Deaths, Death{trace.Process, trace.Died, n.done + n.failed})
		}
	}
	t.count(processes, tallies, stored.total(), shared)
	t.measureTime(tallies[:len(processes)], tallies[len(processes):])
	t.measureWaits(processes, !shared)
	t.compareProcesses(processes, tallies, shared)
	t.findHolders(all)
	t.findBusyWaits(processes, all)
	if !strategy.Queue.HasWriter() {
		t.LockWait = sumLockWaits(processes)
	}
	t.Recording = newRecording(s, all)
	t.round()
	return t
}

// round keeps of the figures what JSON keeps: rounded once more, a saved result could
// show another last digit than the run.
func (t *Trial) round() {
	t.Seconds, t.Published, t.Rate, t.RowsPerCommit = rounded(t.Seconds), rounded(t.Published), round(t.Rate), rounded(t.RowsPerCommit)
	t.Wait.P50, t.Wait.P99, t.Wait.Max, t.Fairness = rounded(t.Wait.P50), rounded(t.Wait.P99), rounded(t.Wait.Max), rounded(t.Fairness)
	t.HeldSeconds = milliseconds(t.HeldSeconds) / 1000
	for i := range t.Processed {
		t.Processed[i].MaxWait = round(t.Processed[i].MaxWait)
	}
	for key, r := range t.Range {
		t.Range[key] = [2]float64{round(r[0]), round(r[1])}
	}
}

// startSpread returns how far apart the processes started.
func startSpread(traces []Trace) time.Duration {
	if len(traces) == 0 {
		return 0
	}
	byStart := func(a, b Trace) int { return cmp.Compare(a.Start, b.Start) }
	return slices.MaxFunc(traces, byStart).Start - slices.MinFunc(traces, byStart).Start
}

// tally counts the rows of one process.
type tally struct {
	done, failed, unfinished int // rows, as the process recorded
	commits                  int
	stored                   int // in the table
	missing                  int // done, and not in the table
	unreported               int // unfinished, and in the table all the same
	errors                   map[int]int
	lastEnd, lastDone        time.Duration
}

func (n tally) begun() int { return n.done + n.failed + n.unfinished }

func makeTally(trace Trace, stored StoredRows, shared bool) tally {
	n := tally{errors: map[int]int{}, stored: stored.count(trace.Number)}
	for e := range trace.Events {
		switch {
		case e.Unfinished:
			n.unfinished += e.Rows
		case e.Code != 0:
			n.failed += e.Rows
			n.errors[e.Code]++
		default:
			n.done += e.Rows
			n.commits++
			n.lastDone = max(n.lastDone, e.End)
		}
		n.lastEnd = e.End
		if shared {
			continue // the rows of a shared queue belong to no process: only sums can be compared
		}
		for i := range e.Rows {
			there := stored.has(trace.Number, e.First+i)
			if e.Done() && !there {
				n.missing++
			}
			if e.Unfinished && there {
				n.unreported++
			}
		}
	}
	return n
}

// count determines what became of every row. The table says what was stored;
// the traces are only compared with it.
func (t *Trial) count(processes []Trace, tallies []tally, stored int, shared bool) {
	t.Stored = stored
	explained := 0 // rows not in the table, with a reason
	missing := 0   // rows a process recorded as done that the table lacks
	for i, trace := range processes {
		n := tallies[i]
		missing += n.missing
		for code, times := range n.errors {
			t.Errors[code] += times
		}
		asked := t.askedOf(trace, n)
		t.Asked += asked
		explained += n.failed + n.unfinished
		cutOff := t.cutOff(trace)
		if asked > n.begun() && (trace.Died != "" || cutOff) {
			explained += asked - n.begun()
		}
		t.TimedOut = t.TimedOut || cutOff && !t.Interrupted
	}
	if shared {
		if t.For == 0 && !t.Interrupted {
			t.Asked = t.Processes * t.Rows
		}
		missing = max(0, t.Asked-explained-t.Stored)
	}
	if t.Interrupted && t.For == 0 {
		t.NotBegun = max(0, t.Processes*t.Rows-t.Asked)
	}
	t.Lost = max(0, min(explained, t.Asked-t.Stored-missing))
	t.Unaccounted = t.Asked - t.Stored - t.Lost
}

// cutOff says whether a process was ended by its deadline or by Ctrl-C.
func (t *Trial) cutOff(trace Trace) bool {
	return t.Interrupted || trace.Ended && trace.EndAt >= t.Limit()
}

// askedOf returns how many rows a process was to write: as many as were set.
// Where a time was set, or the run was interrupted, those it began.
func (t *Trial) askedOf(trace Trace, n tally) int {
	begun := n.begun()
	if t.Interrupted {
		begun -= n.unfinished // rolled back, not failed
	}
	switch {
	case t.For == 0 && !t.Interrupted:
		return t.Rows
	case trace.Ended:
		return begun + n.unreported
	default:
		return max(begun, n.stored)
	}
}

// measureTime measures from the start barrier to the last commit: the writer's,
// if there is one, else that of the processes.
func (t *Trial) measureTime(processes, writer []tally) {
	last := lastDone(processes)
	if len(writer) > 0 {
		if Find(t.Strategy).Queue == ToQueue {
			t.Published = seconds(last)
		}
		last = lastDone(writer)
		if w := writer[0]; w.commits > 0 {
			t.RowsPerCommit = new(float64(w.done) / float64(w.commits))
		}
	}
	if last > 0 && t.Stored > 0 {
		t.Seconds = seconds(last)
		t.Rate = float64(t.Stored) / last.Seconds()
	}
}

func lastDone(tallies []tally) (last time.Duration) {
	for _, n := range tallies {
		last = max(last, n.lastDone)
	}
	return last
}

// measureWaits makes a histogram of all waits, including those that time ran
// out for. Each row of a transaction is a sample.
func (t *Trial) measureWaits(processes []Trace, own bool) {
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	worst := time.Duration(-1)
	for _, trace := range processes {
		for w := range t.eachWait(trace, own) {
			// A wait over an hour, more than any limit allows, is still exact
			// in worst.
			_ = h.RecordValue(min(w, time.Hour).Microseconds())
			if w > worst {
				worst, t.Wait.Worst = w, trace.Process
			}
		}
	}
	t.Wait.Samples = h.TotalCount()
	if h.TotalCount() == 0 {
		return
	}
	t.Wait.Max = millis(worst)
	t.Wait.P50 = millis(min(worst, time.Duration(h.ValueAtQuantile(50))*time.Microsecond))
	if h.TotalCount() >= 100 {
		t.Wait.P99 = millis(min(worst, time.Duration(h.ValueAtQuantile(99))*time.Microsecond))
	}
}

// eachWait yields the waits of the rows of a process. With an offered load a
// row waits from when it is due, and so do those that are due and not begun:
// without them a process would look better the longer it was starved.
func (t *Trial) eachWait(trace Trace, own bool) func(yield func(time.Duration) bool) {
	return func(yield func(time.Duration) bool) {
		for e := range trace.Events {
			for i := range e.Rows {
				if t.Offered > 0 && own {
					e.Ready = t.Due(trace.Number, e.First+i)
				}
				if !yield(e.Wait()) {
					return
				}
			}
		}
		if t.Offered == 0 || !own || !trace.Ended {
			return
		}
		end := trace.EndAt
		if t.For > 0 {
			end = min(end, t.For)
		}
		for n := trace.Taken; t.For > 0 || n < t.Rows; n++ {
			due := t.Due(trace.Number, n)
			if due >= end || !yield(end-due) {
				return
			}
		}
	}
}

// compareProcesses counts the rows of each process at one moment: when time
// was up, or when the first process had all its rows, because with a fixed
// number of rows all end equal. Where processes share a queue, it is the end.
func (t *Trial) compareProcesses(processes []Trace, tallies []tally, shared bool) {
	moment := t.For
	if t.For == 0 && !shared {
		moment = firstFinished(processes, tallies, t.Rows)
	}
	var rows []int
	for _, trace := range processes {
		r := ProcessResult{Process: trace.Process}
		for e := range trace.Events {
			if isBusy(e.Code) {
				r.Busy++
			}
			if e.Done() && (moment == 0 || e.End <= moment) {
				r.Rows += e.Rows
			}
		}
		var longest time.Duration
		for w := range t.eachWait(trace, !shared) {
			longest = max(longest, w)
		}
		r.MaxWait = *millis(longest)
		rows = append(rows, r.Rows)
		t.Processed = append(t.Processed, r)
	}
	if len(rows) > 0 {
		t.MinRows, t.MaxRows = slices.Min(rows), slices.Max(rows)
	}
	t.Fairness = jain(rows)
}

// firstFinished returns when the first process had written all its rows; 0 if
// none did.
func firstFinished(processes []Trace, tallies []tally, rows int) time.Duration {
	var first time.Duration
	for i, trace := range processes {
		n := tallies[i]
		if n.done+n.failed < rows || trace.Died != "" {
			continue
		}
		if first == 0 || n.lastEnd < first {
			first = n.lastEnd
		}
	}
	return first
}

// jain returns Jain's fairness index: 1 where all have the same, 1/n where one
// has all, nil where there is nothing to share.
func jain(rows []int) *float64 {
	var sum, squares float64
	for _, n := range rows {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if squares == 0 {
		return nil
	}
	j := sum * sum / (float64(len(rows)) * squares)
	return &j
}

// Merge makes one trial of the repeats of a setting. It keeps the run with the
// median rate whole, so that its figures belong together, and the range of the
// figures over all runs.
func Merge(runs []Trial) Trial {
	if len(runs) == 1 {
		return runs[0]
	}
	byRate := slices.SortedFunc(slices.Values(runs), func(a, b Trial) int { return cmp.Compare(a.Rate, b.Rate) })
	t := byRate[(len(runs)-1)/2]
	t.Repeat = len(runs)
	t.Range = map[string][2]float64{}
	for _, r := range runs {
		lost, unaccounted := float64(r.Lost), float64(r.Unaccounted)
		widen(t.Range, "rows_per_second", &r.Rate)
		widen(t.Range, "seconds", r.Seconds)
		widen(t.Range, "wait_p50_ms", r.Wait.P50)
		widen(t.Range, "wait_p99_ms", r.Wait.P99)
		widen(t.Range, "wait_max_ms", r.Wait.Max)
		widen(t.Range, "fairness", r.Fairness)
		widen(t.Range, "lost", &lost)
		widen(t.Range, "unaccounted", &unaccounted)
		t.Interrupted = t.Interrupted || r.Interrupted
	}
	return t
}

func widen(ranges map[string][2]float64, key string, v *float64) {
	if v == nil {
		return
	}
	r, ok := ranges[key]
	if !ok {
		r = [2]float64{math.Inf(1), math.Inf(-1)}
	}
	ranges[key] = [2]float64{min(r[0], *v), max(r[1], *v)}
}

func seconds(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}

func millis(d time.Duration) *float64 {
	ms := float64(d.Microseconds()) / 1000
	return &ms
}
