package lab

// From what the processes wrote down to figures. Everything here is a function
// of its arguments.

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// storyRows is how many transactions a trial may have to be told one by one.
const storyRows = 48

func measure(s Setting, processes []account, writer *account, in tableRows, interrupted bool) Trial {
	strategy := find(s.Strategy)
	t := Trial{
		Setting: s, Journal: strategy.Journal, Errors: map[int]int{}, Repeat: 1, Range: map[string][2]float64{},
		Spread: spread(processes), Stopped: interrupted,
	}
	t.BusyTimeout = s.busyTimeout()
	all := processes
	if writer != nil {
		all = append(slices.Clone(processes), *writer)
	}
	for _, a := range all {
		if a.Died != "" {
			t.Deaths = append(t.Deaths, Death{a.Name, a.Died, ended(a)})
		}
	}
	t.count(processes, in, strategy.Queue == FromQueue)
	t.times(processes, writer)
	t.waits(processes, strategy.Queue != FromQueue)
	t.shares(processes, strategy.Queue == FromQueue)
	t.holders(all)
	t.lockouts(processes, all)
	t.story(all)
	return t
}

func ended(a account) int {
	n := 0
	for _, r := range a.Records {
		if !r.Unfinished {
			n += r.Rows
		}
	}
	return n
}

// count tells what became of every row. What was stored is what the table has;
// what the processes say is only held against it.
func (t *Trial) count(processes []account, in tableRows, shared bool) {
	t.Stored = in.rows()
	explained := 0 // rows not in the table, with a reason
	missing := 0   // rows a process says it wrote, and the table has not
	for _, a := range processes {
		n := tally(a, in, shared)
		missing += n.missing
		for code, times := range n.errors {
			t.Errors[code] += times
		}
		asked := t.askedOf(a, n)
		t.Asked += asked
		explained += n.refused + n.inHand
		if begun := n.done + n.refused + n.inHand; asked > begun && (a.Died != "" || t.late(a)) {
			explained += asked - begun
		}
		t.TimedUp = t.TimedUp || t.late(a) && !t.Stopped
	}
	if shared {
		if t.For == 0 && !t.Stopped {
			t.Asked = t.Processes * t.Rows
		}
		missing = max(0, t.Asked-explained-t.Stored)
	}
	t.Lost = max(0, min(explained, t.Asked-t.Stored-missing))
	t.Unaccounted = t.Asked - t.Stored - t.Lost
}

// late says whether a process was cut off: by its deadline, or by Ctrl-C.
func (t *Trial) late(a account) bool {
	return t.Stopped || a.Ended && a.EndAt >= t.deadline()
}

// askedOf is how many rows a process was to write: all that were set, or where
// time was set, or someone stopped it, those it took in hand.
func (t *Trial) askedOf(a account, n tallied) int {
	begun := n.done + n.refused + n.inHand
	if t.Stopped {
		begun -= n.inHand // the row in hand was taken back, not given up
	}
	switch {
	case t.For == 0 && !t.Stopped:
		return t.Rows
	case a.Ended:
		return begun + n.unreported
	default:
		return max(begun, n.stored)
	}
}

type tallied struct {
	done, refused, inHand int // rows, as the process says
	stored                int // rows of the process in the table
	missing               int // done, and not in the table
	unreported            int // in hand when time was up, and in the table all the same
	errors                map[int]int
}

func tally(a account, in tableRows, shared bool) tallied {
	n := tallied{errors: map[int]int{}, stored: len(in[a.Process])}
	for _, r := range a.Records {
		switch {
		case r.Unfinished:
			n.inHand += r.Rows
		case r.Code != 0:
			n.refused += r.Rows
			n.errors[r.Code]++
		default:
			n.done += r.Rows
		}
		if shared {
			continue // the rows of a shared queue are no one's: the sums tell
		}
		for i := range r.Rows {
			there := in.has(a.Process, r.First+i)
			if r.Done() && !there {
				n.missing++
			}
			if r.Unfinished && there {
				n.unreported++
			}
		}
	}
	return n
}

// times measures from the barrier to the last row in the table: with a writer
// its last commit, otherwise the processes' own.
func (t *Trial) times(processes []account, writer *account) {
	last := lastDone(processes...)
	if writer != nil {
		if find(t.Strategy).Queue == ToQueue {
			t.Published = seconds(last)
		}
		last = lastDone(*writer)
	}
	if last > 0 && t.Stored > 0 {
		t.Seconds = seconds(last)
		t.Rate = float64(t.Stored) / last.Seconds()
	}
}

func lastDone(accounts ...account) (last time.Duration) {
	for _, a := range accounts {
		for _, r := range a.Records {
			if r.Done() {
				last = max(last, r.End)
			}
		}
	}
	return last
}

// waits makes a histogram of all waits, with those that time ran out for. The
// rows of one transaction are a sample each.
func (t *Trial) waits(processes []account, own bool) {
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	worst := time.Duration(-1)
	for _, a := range processes {
		for w := range t.eachWait(a, own) {
			// An hour is more than any deadline allows; a longer one stays
			// the worst, exactly.
			_ = h.RecordValue(min(w, time.Hour).Microseconds())
			if w > worst {
				worst, t.Wait.Worst = w, a.Name
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

// eachWait goes through the waits of a process's rows. With an offered load a
// row waits from when it is due, and so do those that are due and not begun:
// without them a process would look the better the longer it was shut out.
func (t *Trial) eachWait(a account, own bool) func(yield func(time.Duration) bool) {
	return func(yield func(time.Duration) bool) {
		for _, r := range a.Records {
			for i := range r.Rows {
				if t.Offered > 0 && own {
					r.Ready = t.due(a.Process, r.First+i)
				}
				if !yield(r.Wait()) {
					return
				}
			}
		}
		if t.Offered == 0 || !own || !a.Ended {
			return
		}
		end := a.EndAt
		if t.For > 0 {
			end = min(end, t.For)
		}
		for n := a.Taken; t.For > 0 || n < t.Rows; n++ {
			due := t.due(a.Process, n)
			if due >= end || !yield(end-due) {
				return
			}
		}
	}
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
