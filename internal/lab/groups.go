package lab

// Trials that may be compared: the same but for the strategy.

import "slices"

// A group is the trials of one size.
type group struct {
	Setting Setting // of the first trial; its strategy means nothing
	trials  []Trial
}

// groups keeps the order of the trials.
func groups(trials []Trial) []group {
	var gs []group
	for _, t := range trials {
		key := t.Setting
		// The busy timeout is the strategy's own in one case.
		key.Strategy, key.BusyTimeout = "", 0
		i := slices.IndexFunc(gs, func(g group) bool { return g.Setting == key })
		if i < 0 {
			i, gs = len(gs), append(gs, group{Setting: key})
		}
		gs[i].trials = append(gs[i].trials, t)
	}
	return gs
}

// get finds a strategy's trial, if it has a rate to compare.
func (g group) get(name string) (Trial, bool) {
	i := slices.IndexFunc(g.trials, func(t Trial) bool { return t.Strategy == name })
	if i < 0 || g.trials[i].Rate == 0 {
		return Trial{}, false
	}
	return g.trials[i], true
}

// bestDirect is the fastest strategy without a queue that lost nothing.
func (g group) bestDirect() (best Trial, ok bool) {
	for _, t := range g.trials {
		if find(t.Strategy).Queue == NoQueue && t.whole() && (!ok || t.Rate > best.Rate) {
			best, ok = t, true
		}
	}
	return best, ok
}

// whole says whether the trial stored all it was asked to.
func (t Trial) whole() bool { return t.Asked > 0 && t.Stored == t.Asked && !t.Stopped }

// A verdict compares two rates.
type verdict int

const (
	same   verdict = iota // no difference that this run can show
	faster                // the first is
	slower
)

// apart is how far two single runs must lie apart to mean something: on a
// machine that does other things too the same trial varies by a quarter, and a
// short one by more.
func apart(a, b Trial) float64 {
	if value(a.Seconds) < 2 || value(b.Seconds) < 2 {
		return 1.5
	}
	return 1.25
}

// compare says whether a difference of the rates is one. Where trials were
// repeated, their ranges must not touch.
func compare(a, b Trial) verdict {
	if a.Repeat > 1 && b.Repeat > 1 {
		ra, rb := a.Range["rows_per_second"], b.Range["rows_per_second"]
		switch {
		case ra[0] > rb[1]:
			return faster
		case ra[1] < rb[0]:
			return slower
		}
		return same
	}
	switch {
	case a.Rate >= apart(a, b)*b.Rate:
		return faster
	case b.Rate >= apart(a, b)*a.Rate:
		return slower
	}
	return same
}

// starved says whether a process got next to nothing while another did well,
// or a row waited out of all proportion.
func (t Trial) starved() bool {
	if t.Processes < 2 || find(t.Strategy).Queue == FromQueue && t.For == 0 {
		return false
	}
	uneven := t.Richest >= 10 && 10*t.Poorest <= t.Richest
	return uneven && value(t.Wait.Max) >= starvingMillis || t.longTail()
}

// starvingMillis is the least wait that is called starving: with few rows and
// no task one process may well be done before the next has begun.
const starvingMillis = 250

// longTail says whether the worst wait is long, and far beyond what p99 shows.
func (t Trial) longTail() bool {
	return t.Wait.P99 != nil && *t.Wait.Max >= 500 && *t.Wait.Max >= 20**t.Wait.P99
}
