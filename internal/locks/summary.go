package locks

// What a Tracker saw, all in all.

import (
	"cmp"
	"slices"
	"time"
)

// A Summary counts samples. Shares of them are honest also where holds are
// shorter than the time between two: a lock held a third of the time is in a
// third of the samples.
type Summary struct {
	From, Until time.Time
	Samples     int
	LongestGap  time.Duration // between two samples: what was let go and taken again in it was not seen
	WriteLocked int           // samples in which someone had the write lock
	Totals      []Total       // the most seen first, writers before others
}

// A Total is one process's share.
type Total struct {
	PID     int
	Command string
	Class   Class
	Lock    Name // the strongest seen
	Samples int
	Holds   int // long enough to be reported
	Longest time.Duration
}

func (s *Summary) count(last, at time.Time) {
	if s.Samples == 0 {
		s.From = at
	} else {
		s.LongestGap = max(s.LongestGap, at.Sub(last))
	}
	s.Samples++
	s.Until = at
}

// account adds one sample of a hold to the total of its process.
func (t *Tracker) account(key holdKey, h *Hold, reported bool) {
	total := t.total[key]
	if total == nil {
		total = &Total{PID: h.PID, Class: key.class, Lock: h.Lock}
		t.total[key] = total
	}
	total.Command = h.Command
	total.Samples++
	total.Longest = max(total.Longest, h.Seen())
	if h.Lock.strength() < total.Lock.strength() {
		total.Lock = h.Lock
	}
	if reported {
		total.Holds++
	}
}

// Summary is what there was to see until now.
func (t *Tracker) Summary() Summary {
	s := t.sum
	for _, total := range t.total {
		s.Totals = append(s.Totals, *total)
	}
	slices.SortFunc(s.Totals, func(a, b Total) int {
		return cmp.Or(isWrite(b)-isWrite(a), cmp.Compare(b.Samples, a.Samples), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Class, b.Class))
	})
	return s
}

func isWrite(t Total) int {
	if t.Class == Write {
		return 1
	}
	return 0
}
