package locks

// Who held what, to be asked afterwards: "the lock I was refused at 14:03:22.117".

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

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
