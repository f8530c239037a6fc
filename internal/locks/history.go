package locks

// From samples to holds: who held which lock, from when until when.

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Hold is a lock that was seen in consecutive samples. Its true length may
// differ by one sampling interval at either end. Several short transactions can
// look like one hold: Changes tells them from one long transaction.
type Hold struct {
	PID         int
	Command     string
	Lock        Name // the strongest seen
	From, Until time.Time
	Stages      []Stage // in the order in which they were first seen
	Samples     int
	IdleSamples int  // samples in which the lock was Idle
	Changes     int  // number of samples before which the file was written to
	Ended       bool // false: the lock is in the last sample
	Older       bool // the lock was in the first sample, so it was taken before From

	stage int // the last one seen, in Stages
}

// Stage is how long a hold was seen as one lock. A write transaction in rollback
// mode goes from reserved over pending to exclusive.
type Stage struct {
	Lock Name
	Seen time.Duration
}

// Idle reports whether the holder of an exclusive lock has no transaction open:
// a connection in locking_mode=EXCLUSIVE keeps the lock between transactions.
func (h Hold) Idle() bool { return h.IdleSamples > 0 && h.IdleSamples*10 >= h.Samples*9 }

// Seen returns how long the lock was held at least.
func (h Hold) Seen() time.Duration { return h.Until.Sub(h.From) }

// Mostly returns the lock as which the hold was seen longest.
func (h Hold) Mostly() Name {
	if len(h.Stages) == 0 {
		return h.Lock
	}
	return slices.MaxFunc(h.Stages, func(a, b Stage) int { return cmp.Compare(a.Seen, b.Seen) }).Lock
}

// overlap returns how much of the time between two moments the hold covers.
func (h Hold) overlap(from, to time.Time) time.Duration {
	if h.From.After(from) {
		from = h.From
	}
	if h.Until.Before(to) {
		to = h.Until
	}
	return to.Sub(from)
}

func sortHolds(all []Hold) {
	slices.SortFunc(all, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Lock.strength(), b.Lock.strength()), a.From.Compare(b.From), cmp.Compare(a.PID, b.PID))
	})
}

// holdKey identifies a hold among those of one sample.
type holdKey struct {
	pid   int
	class Class
}

// Tracker joins samples into holds. It is for one goroutine.
type Tracker struct {
	minHold time.Duration
	open    map[holdKey]*Hold
	last    time.Time
	sum     Summary
	totals  map[holdKey]*Total
}

// NewTracker returns a Tracker that reports holds of at least minHold.
func NewTracker(minHold time.Duration) *Tracker {
	return &Tracker{minHold: minHold, open: map[holdKey]*Hold{}, totals: map[holdKey]*Total{}}
}

// Add adds a sample. It returns the holds that have just reached the minimum
// length (Ended is false), and those of at least that length that have ended.
func (t *Tracker) Add(at time.Time, locks []Lock, changed bool) []Hold {
	t.sum.addSample(t.last, at)
	if slices.ContainsFunc(locks, func(l Lock) bool { return l.Name.Class() == Write }) {
		t.sum.WriteLocked++
	}
	var events []Hold
	report := func(h *Hold) {
		event := *h
		event.Stages = slices.Clone(h.Stages) // the Tracker goes on changing its own
		events = append(events, event)
	}
	present := make(map[holdKey]bool, len(locks))
	for _, l := range locks {
		key := holdKey{l.PID, l.Name.Class()}
		if present[key] {
			continue // the locks are sorted: a stronger one came before
		}
		present[key] = true
		if h := t.extend(key, l, at, changed); h != nil {
			report(h)
		}
	}
	for key, h := range t.open {
		if !present[key] {
			h.Ended = true
			delete(t.open, key)
			if h.Seen() >= t.minHold {
				report(h)
			}
		}
	}
	t.last = at
	sortHolds(events)
	return events
}

// extend adds a sample to a hold. It returns the hold if it has just reached the
// minimum length.
func (t *Tracker) extend(key holdKey, l Lock, at time.Time, changed bool) *Hold {
	h := t.open[key]
	if h == nil {
		h = &Hold{PID: l.PID, Command: l.Command, Lock: l.Name, From: at, Until: at, Older: t.sum.Samples == 1}
		t.open[key] = h
	}
	before := h.Samples > 0 && h.Seen() >= t.minHold
	if h.Samples > 0 {
		h.Stages[h.stage].Seen += at.Sub(h.Until)
	}
	h.stage = slices.IndexFunc(h.Stages, func(s Stage) bool { return s.Lock == l.Name })
	if h.stage < 0 {
		h.stage = len(h.Stages)
		h.Stages = append(h.Stages, Stage{Lock: l.Name})
	}
	h.Until, h.Samples = at, h.Samples+1
	if l.Idle {
		h.IdleSamples++
	}
	if changed && h.Samples > 1 {
		h.Changes++
	}
	if l.Name.strength() < h.Lock.strength() {
		h.Lock = l.Name
	}
	reached := h.Seen() >= t.minHold && !before
	t.addToTotal(key, h, reached)
	if !reached {
		return nil
	}
	return h
}

// addToTotal adds one sample of a hold to the total of its process.
func (t *Tracker) addToTotal(key holdKey, h *Hold, reported bool) {
	total := t.totals[key]
	if total == nil {
		if len(t.totals) >= maxTotals {
			t.dropTotals()
		}
		total = &Total{PID: h.PID, Class: key.class, Lock: h.Lock}
		t.totals[key] = total
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

// maxTotals bounds the processes that a Tracker counts: it may run for weeks, and
// meet new processes all the time.
const maxTotals = 4096

// dropTotals forgets the half with the fewest samples.
func (t *Tracker) dropTotals() {
	keys := slices.SortedFunc(maps.Keys(t.totals), func(a, b holdKey) int {
		return cmp.Compare(t.totals[a].Samples, t.totals[b].Samples)
	})
	for _, key := range keys[:len(keys)/2] {
		delete(t.totals, key)
		t.sum.Dropped++
	}
}

// Current returns the holds of the last sample, strongest first.
func (t *Tracker) Current() []Hold {
	var all []Hold
	for _, h := range t.open {
		current := *h
		current.Stages = slices.Clone(h.Stages)
		all = append(all, current)
	}
	sortHolds(all)
	return all
}

// Summary counts samples. Shares of samples are right even where holds are
// shorter than the sampling interval: a lock held a third of the time is in a
// third of the samples.
type Summary struct {
	From, Until time.Time
	Samples     int
	LongestGap  time.Duration // between two samples: a lock taken and released in it was missed
	WriteLocked int           // samples with a write lock
	Totals      []Total       // writers first, then by number of samples
	Dropped     int           // processes with few samples that are not in Totals
}

// Total is the share of one process.
type Total struct {
	PID     int
	Command string
	Class   Class
	Lock    Name // the strongest seen
	Samples int
	Holds   int // of at least the minimum length
	Longest time.Duration
}

func (s *Summary) addSample(last, at time.Time) {
	if s.Samples == 0 {
		s.From = at
	} else {
		s.LongestGap = max(s.LongestGap, at.Sub(last))
	}
	s.Samples++
	s.Until = at
}

// Summary returns the totals of all samples so far.
func (t *Tracker) Summary() Summary {
	s := t.sum
	for _, total := range t.totals {
		s.Totals = append(s.Totals, *total)
	}
	slices.SortFunc(s.Totals, func(a, b Total) int {
		return cmp.Or(cmp.Compare(b.writes(), a.writes()), cmp.Compare(b.Samples, a.Samples), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Class, b.Class))
	})
	return s
}

func (t Total) writes() int {
	if t.Class == Write {
		return 1
	}
	return 0
}

// maxEnded bounds the ended holds that a History keeps. At one hold a sample
// and a sample every 5 ms it is eleven minutes, and about 15 MB.
const maxEnded = 1 << 17

// History records holds and answers who held the lock at a given time. Its
// methods may be called from any goroutine.
type History struct {
	mu      sync.Mutex // guards all below
	tracker *Tracker
	ended   []Hold // ordered by end
	limit   int    // at least so many of these are kept, at most twice as many
}

// NewHistory returns an empty History.
func NewHistory() *History { return &History{tracker: NewTracker(0), limit: maxEnded} }

// Add adds a sample.
func (h *History) Add(at time.Time, locks []Lock, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hold := range h.tracker.Add(at, locks, changed) {
		if hold.Ended {
			h.ended = append(h.ended, hold)
		}
	}
	if len(h.ended) >= 2*h.limit { // rarely, so that copying costs little
		h.ended = append(h.ended[:0], h.ended[len(h.ended)-h.limit:]...)
	}
}

// Follow adds a sample at each interval until the context ends, which is not an
// error.
func (h *History) Follow(ctx context.Context, s *Sampler, interval time.Duration) error {
	tick := time.NewTicker(interval)
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

// During returns the holds seen between two moments, both included: strongest
// first, then by overlap. A connection that waited all that time and got
// SQLITE_BUSY was refused because of these holds.
func (h *History) During(from, to time.Time) []Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Hold
	// ended is ordered by end: skip the holds that ended before.
	first, _ := slices.BinarySearchFunc(h.ended, from, func(h Hold, t time.Time) int { return h.Until.Compare(t) })
	for _, hold := range slices.Concat(h.ended[first:], h.tracker.Current()) {
		if !hold.From.After(to) && !hold.Until.Before(from) {
			all = append(all, hold)
		}
	}
	slices.SortStableFunc(all, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Lock.strength(), b.Lock.strength()), cmp.Compare(b.overlap(from, to), a.overlap(from, to)))
	})
	return all
}

// Writer returns the hold that had the write lock for most of the time between
// two moments.
func (h *History) Writer(from, to time.Time) (Hold, bool) {
	var longest Hold
	found := false
	for _, hold := range h.During(from, to) {
		if hold.Lock.Class() == Write && (!found || hold.overlap(from, to) > longest.overlap(from, to)) {
			longest, found = hold, true
		}
	}
	return longest, found
}
