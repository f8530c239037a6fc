package locks

// From samples to holds: how long a process had a lock.

import (
	"cmp"
	"slices"
	"time"
)

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
