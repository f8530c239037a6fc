package locks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// From samples to holds: how long a process had a lock.

// A Hold is a lock seen in samples in a row. Its true length may differ by the
// time between two samples at either end; and locks let go and taken again
// between two samples look like one: Changes tells them from one long transaction.
type Hold struct {
	PID         int
	Command     string
	Lock        Name // the strongest seen
	From, Until time.Time
	Samples     int
	Changes     int  // between how many of the samples the file was written to
	Ended       bool // false: still there in the last sample
	Older       bool // there in the first sample already: it began before From
}

// Seen is how long the hold is known to have lasted.
func (h Hold) Seen() time.Duration { return h.Until.Sub(h.From) }

// holdKey tells holds apart: who, and what for.
type holdKey struct {
	pid   int
	class Class
}

// A Tracker follows holds from sample to sample. It is for one goroutine.
type Tracker struct {
	least time.Duration
	open  map[holdKey]*Hold
	last  time.Time
	sum   Summary
	total map[holdKey]*Total
}

// NewTracker makes a Tracker that reports holds of at least so long.
func NewTracker(least time.Duration) *Tracker {
	return &Tracker{least: least, open: map[holdKey]*Hold{}, total: map[holdKey]*Total{}}
}

// Add takes a sample. It returns the holds that have just become long enough
// (Ended is false), and the long ones that have just ended.
func (t *Tracker) Add(at time.Time, locks []Lock, changed bool) []Hold {
	t.sum.count(t.last, at)
	for _, l := range locks {
		if l.Name.Class() == Write {
			t.sum.WriteLocked++
			break
		}
	}
	var events []Hold
	present := make(map[holdKey]bool, len(locks))
	for _, l := range locks {
		key := holdKey{l.PID, l.Name.Class()}
		if present[key] {
			continue // sorted: the strongest came first
		}
		present[key] = true
		if grown := t.grow(key, l, at, changed); grown != nil {
			events = append(events, *grown)
		}
	}
	for key, h := range t.open {
		if !present[key] {
			h.Ended = true
			delete(t.open, key)
			if h.Seen() >= t.least {
				events = append(events, *h)
			}
		}
	}
	t.last = at
	sortHolds(events)
	return events
}

// grow adds a sample to a hold and returns it if it has just become long.
func (t *Tracker) grow(key holdKey, l Lock, at time.Time, changed bool) *Hold {
	h := t.open[key]
	if h == nil {
		h = &Hold{PID: l.PID, Command: l.Command, Lock: l.Name, From: at, Until: at, Older: t.sum.Samples == 1}
		t.open[key] = h
	}
	before := h.Samples > 0 && h.Seen() >= t.least
	h.Until, h.Samples = at, h.Samples+1
	if changed && h.Samples > 1 {
		h.Changes++
	}
	if l.Name.strength() < h.Lock.strength() {
		h.Lock = l.Name
	}
	now := h.Seen() >= t.least
	t.account(key, h, now && !before)
	if now && !before {
		return h
	}
	return nil
}

// Now are the holds of the last sample, the strongest first.
func (t *Tracker) Now() []Hold {
	var all []Hold
	for _, h := range t.open {
		all = append(all, *h)
	}
	sortHolds(all)
	return all
}

func sortHolds(all []Hold) {
	slices.SortFunc(all, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Lock.strength(), b.Lock.strength()), a.From.Compare(b.From), cmp.Compare(a.PID, b.PID))
	})
}

// What a Tracker saw, all in all.

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

// Who held what, to be asked afterwards: "the lock I was refused at 14:03:22.117".

// keep is how many ended holds a History remembers: at a hold a sample, every
// 5 ms, eleven minutes; some 15 MB.
const keep = 1 << 17

// A History remembers holds. Its methods may be called from any goroutine.
type History struct {
	mu      sync.Mutex // guards all below
	tracker *Tracker
	ended   []Hold // in the order of their ends
}

// NewHistory makes an empty one.
func NewHistory() *History { return &History{tracker: NewTracker(0)} }

// Add takes a sample.
func (h *History) Add(at time.Time, locks []Lock, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hold := range h.tracker.Add(at, locks, changed) {
		if hold.Ended {
			h.ended = append(h.ended, hold)
		}
	}
	if len(h.ended) >= 2*keep { // seldom, so that it costs next to nothing
		h.ended = append(h.ended[:0], h.ended[len(h.ended)-keep:]...)
	}
}

// Follow adds samples until the context ends, which is no error.
func (h *History) Follow(ctx context.Context, s *Sampler, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		now := time.Now()
		locks, err := s.Sample(now)
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		h.Add(now, locks, s.Changed())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// During are the holds that were seen between two moments, both included: the
// strongest first, among these the one that overlaps most. Who waited from a
// to b and was refused was refused because of these. A hold's ends are known to
// a sample only: who asks for a moment asks for the time between two around it.
func (h *History) During(from, to time.Time) []Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Hold
	// The ends are in order, the beginnings are not: what ended before is cut off.
	first, _ := slices.BinarySearchFunc(h.ended, from, func(h Hold, t time.Time) int { return h.Until.Compare(t) })
	for _, hold := range slices.Concat(h.ended[first:], h.tracker.Now()) {
		if !hold.From.After(to) && !hold.Until.Before(from) {
			all = append(all, hold)
		}
	}
	slices.SortStableFunc(all, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Lock.strength(), b.Lock.strength()), cmp.Compare(b.overlap(from, to), a.overlap(from, to)))
	})
	return all
}

// Writer is who had the write lock for most of the time between two moments.
func (h *History) Writer(from, to time.Time) (Hold, bool) {
	var most Hold
	found := false
	for _, hold := range h.During(from, to) {
		if hold.Lock.Class() == Write && (!found || hold.overlap(from, to) > most.overlap(from, to)) {
			most, found = hold, true
		}
	}
	return most, found
}

func (h Hold) overlap(from, to time.Time) time.Duration {
	if h.From.After(from) {
		from = h.From
	}
	if h.Until.Before(to) {
		to = h.Until
	}
	return to.Sub(from)
}

// Summary is what there was to see until now.
func (h *History) Summary() Summary {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tracker.Summary()
}
