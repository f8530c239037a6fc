package report

import (
	"fmt"
	"slices"
	"strings"
)

// group is the trials of one size: they may be compared.
type group struct {
	Setting Setting // of the first trial; its strategy means nothing
	trials  []Trial
}

// groupBySize keeps the order of the trials.
func groupBySize(trials []Trial) []group {
	var groups []group
	for _, t := range trials {
		key := t.Setting
		// no-timeout has a busy timeout of its own.
		key.Strategy, key.BusyTimeout = "", 0
		i := slices.IndexFunc(groups, func(g group) bool { return g.Setting == key })
		if i < 0 {
			i, groups = len(groups), append(groups, group{Setting: key})
		}
		groups[i].trials = append(groups[i].trials, t)
	}
	return groups
}

// comparableGroups returns the groups that findings may compare. The introduction is
// not one of them.
func comparableGroups(trials []Trial) []group {
	return groupBySize(slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Introduction || t.Interrupted }))
}

// get returns a strategy's trial, if it has a rate to compare.
func (g group) get(name string) (Trial, bool) {
	i := slices.IndexFunc(g.trials, func(t Trial) bool { return t.Strategy == name })
	if i < 0 || g.trials[i].Rate == 0 {
		return Trial{}, false
	}
	return g.trials[i], true
}

// taskInTransaction returns the simplest strategy of the group that runs the
// task while it holds the lock.
func (g group) taskInTransaction() (Trial, bool) {
	for _, name := range []string{"direct", "wal", "immediate"} {
		if t, ok := g.get(name); ok {
			return t, true
		}
	}
	return Trial{}, false
}

// fastestDirect returns the fastest strategy without a queue that lost nothing.
func (g group) fastestDirect() (best Trial, ok bool) {
	for _, t := range g.trials {
		if Find(t.Strategy).Queue == NoQueue && t.complete() && (!ok || t.Rate > best.Rate) {
			best, ok = t, true
		}
	}
	return best, ok
}

// fastestPolling returns the fastest strategy without a queue and without turns
// that lost nothing: SQLite's waiters poll, in no order.
func (g group) fastestPolling() (best Trial, ok bool) {
	for _, t := range g.trials {
		if s := Find(t.Strategy); s.Queue == NoQueue && !s.Turns && t.complete() && (!ok || t.Rate > best.Rate) {
			best, ok = t, true
		}
	}
	return best, ok
}

// fastestQueue returns the fastest strategy with a single writer that lost
// nothing.
func (g group) fastestQueue() (best Trial, ok bool) {
	for _, t := range g.trials {
		if Find(t.Strategy).Queue.HasWriter() && t.complete() && t.Rate > 0 && (!ok || t.Rate > best.Rate) {
			best, ok = t, true
		}
	}
	return best, ok
}

// simplestDirect returns the first strategy without a queue that stored all
// rows without an error or starvation, and is about as fast as the best of
// these.
func (g group) simplestDirect() (Trial, bool) {
	var able []Trial
	for _, t := range g.trials {
		if Find(t.Strategy).Queue == NoQueue && t.complete() && len(t.Errors) == 0 && !t.starved() && t.Rate > 0 {
			able = append(able, t)
		}
	}
	if len(able) == 0 {
		return Trial{}, false
	}
	best := slices.MaxFunc(able, func(a, b Trial) int { return int(1000 * (a.Rate - b.Rate)) })
	slices.SortStableFunc(able, func(a, b Trial) int { return rank(a.Strategy) - rank(b.Strategy) })
	i := slices.IndexFunc(able, func(t Trial) bool {
		return compareRates(t, best) != slower && acceptableWait(t, best)
	})
	return able[i], true
}

// acceptableMillis is a maximum wait that hardly anyone minds.
const acceptableMillis = 100

// acceptableWait says whether the maximum wait of a trial is short, or not much
// longer than another's.
func acceptableWait(t, other Trial) bool {
	w := valueOf(t.Wait.Max)
	return w <= acceptableMillis || w <= 2*valueOf(other.Wait.Max)
}

// comparison is the result of comparing two rates.
type comparison int

const (
	equal comparison = iota // no difference that this run can show
	faster
	slower
)

// significantRatio is how much the rates of two single runs must differ to mean
// something. On a machine that does other things too, the same trial varies by
// a quarter, and a short one by more.
func significantRatio(a, b Trial) float64 {
	if valueOf(a.Seconds) < 2 || valueOf(b.Seconds) < 2 {
		return 1.5
	}
	return 1.25
}

// compareRates says whether a is faster or slower than b. Where both were
// repeated, their ranges must not overlap.
func compareRates(a, b Trial) comparison {
	if a.Repeat > 1 && b.Repeat > 1 {
		ra, rb := a.Range["rows_per_second"], b.Range["rows_per_second"]
		switch {
		case ra[0] > rb[1]:
			return faster
		case ra[1] < rb[0]:
			return slower
		}
		return equal
	}
	switch {
	case a.Rate >= significantRatio(a, b)*b.Rate:
		return faster
	case b.Rate >= significantRatio(a, b)*a.Rate:
		return slower
	}
	return equal
}

// starved says whether a process got next to nothing while another did well,
// or a row waited out of all proportion.
func (t Trial) starved() bool {
	if t.Processes < 2 || Find(t.Strategy).Queue == FromQueue && t.For == 0 {
		return false
	}
	uneven := t.MaxRows >= 10 && 10*t.MinRows <= t.MaxRows
	return uneven && valueOf(t.Wait.Max) >= starvationMillis || t.longTail()
}

// starvationMillis is the least wait that is called starvation. With few rows
// and no task one process may be done before the next has begun.
const starvationMillis = 250

// longTail says whether the maximum wait is long, and far beyond p99.
func (t Trial) longTail() bool {
	return t.Wait.P99 != nil && *t.Wait.Max >= 500 && *t.Wait.Max >= 20**t.Wait.P99
}

// Advice recommends a strategy for one size, with the strategies to compare it
// with.
type Advice struct {
	Text       string
	Setting    Setting  // the size it is for
	Strategies []string // the recommended one first
}

// recommend makes a recommendation for the hardest of the sizes that were
// compared: the most processes, and of those the longest task.
func recommend(trials []Trial) (Advice, bool) {
	groups := comparableGroups(trials)
	if len(groups) == 0 {
		return Advice{}, false
	}
	g := hardest(groups)
	q, hasQueue := g.fastestQueue()
	d, hasDirect := g.simplestDirect()
	switch {
	case hasDirect && (!hasQueue || compareRates(d, q) != slower && acceptableWait(d, q)):
		text := merits(d)
		if Find(d.Strategy).Turns {
			text += " It needs no server, but every process must take turns, on one machine."
		}
		if hasQueue {
			text += fmt.Sprintf(" A queue would not be faster (%s: %s rows/s).", q.Strategy, figure(q.Rate))
		}
		return g.advise(d.Strategy, text), true
	case hasQueue:
		text := merits(q)
		b, ok := g.fastestDirect()
		if ok {
			text += fmt.Sprintf(" The best strategy without a queue, %s, stored %s rows/s with a maximum wait of %s",
				b.Strategy, figure(b.Rate), roundMillis(valueOf(b.Wait.Max)))
			if b.starved() {
				text += ", and starved a process"
			}
			text += "."
		} else {
			text += g.directLosses()
		}
		if t, ok := g.get("turns"); ok && b.Strategy != "turns" && t.complete() && !t.starved() {
			text += fmt.Sprintf(" If there must be no server, the fair one is turns: %s rows/s with a maximum wait of %s.",
				figure(t.Rate), roundMillis(valueOf(t.Wait.Max)))
		}
		return g.advise(q.Strategy, text), true
	}
	a := g.advise("short", "")
	a.Text = "For " + g.Setting.Size() + ": " + g.discouragement()
	return a, true
}

// discouragement says why none of the strategies that ran is recommended, and which
// others may be better.
func (g group) discouragement() string {
	var text string
	if len(g.trials) == 1 {
		text = fmt.Sprintf("not %s: it %s.", g.trials[0].Strategy, g.trials[0].flaw())
	} else {
		var flaws []string
		for _, t := range g.trials {
			flaws = append(flaws, t.Strategy+" "+t.flaw())
		}
		text = fmt.Sprintf("none of the %s strategies of this run: %s.", words(len(g.trials)), joinNames(flaws))
	}
	var others []string
	for _, s := range []struct{ name, merit string }{
		{"short", "which holds the lock only for INSERT and COMMIT"},
		{"turns", "which is fair without a server"},
		{"confirmed", "which has a single writer"},
	} {
		if !slices.ContainsFunc(g.trials, func(t Trial) bool { return t.Strategy == s.name }) {
			others = append(others, s.name+", "+s.merit)
		}
	}
	switch len(others) {
	case 0:
		return text
	case 1:
		return text + " Try " + others[0] + "."
	}
	return text + " Try " + strings.Join(others[:len(others)-1], ", ") + ", and " + others[len(others)-1] + "."
}

// flaw is why a strategy is not recommended.
func (t Trial) flaw() string {
	switch {
	case !t.complete():
		return "lost rows"
	case t.BusyCount() > 0:
		return "got SQLITE_BUSY"
	case len(t.Errors) > 0:
		return "had errors"
	case t.starved():
		return "starved a process"
	}
	return "lets its processes compete for the lock"
}

// directLosses says that no strategy without a queue stored all rows, of those that
// ran.
func (g group) directLosses() string {
	var names []string
	for _, t := range g.trials {
		if Find(t.Strategy).Queue == NoQueue {
			names = append(names, t.Strategy)
		}
	}
	switch len(names) {
	case 0:
		return " No strategy without a queue was in this run."
	case 1:
		return fmt.Sprintf(" Of the strategies without a queue only %s was in this run, and it lost rows.", names[0])
	}
	return fmt.Sprintf(" Without a queue, %s lost rows.", joinNames(names))
}

func hardest(groups []group) group {
	return slices.MaxFunc(groups, func(a, b group) int {
		if d := a.Setting.Processes - b.Setting.Processes; d != 0 {
			return d
		}
		return int(a.Setting.Task - b.Setting.Task)
	})
}

// advise recommends a strategy, to be checked against short, turns and
// confirmed, the best of each kind.
func (g group) advise(strategy, why string) Advice {
	a := Advice{fmt.Sprintf("For %s: %s. %s", g.Setting.Size(), strategy, why), g.Setting, []string{strategy}}
	for _, name := range []string{"short", "turns", "confirmed"} {
		if name != strategy {
			a.Strategies = append(a.Strategies, name)
		}
	}
	return a
}

// merits says how well a strategy did.
func merits(t Trial) string {
	s := fmt.Sprintf("It stored all %s rows at %s rows/s", thousands(t.Stored), figure(t.Rate))
	if t.Fairness != nil && *t.Fairness >= 0.9 && t.Processes > 1 && Find(t.Strategy).Queue != FromQueue {
		s += fmt.Sprintf(", evenly for all processes (Jain's index %.2f)", *t.Fairness)
	}
	return s + fmt.Sprintf(", with a maximum wait of %s.", roundMillis(valueOf(t.Wait.Max)))
}
