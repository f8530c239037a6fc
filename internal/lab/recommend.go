package lab

// One recommendation for this machine and this workload, and the command that
// checks it.

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Advice is what to do, and how to see whether it is right.
type Advice struct {
	Text    string
	Command string
}

// Recommend looks at the hardest of the sizes that were compared: the most
// processes, and of those the longest task.
func Recommend(trials []Trial) (Advice, bool) {
	gs := compared(trials)
	if len(gs) == 0 {
		return Advice{}, false
	}
	g := slices.MaxFunc(gs, func(a, b group) int {
		if d := a.Setting.Processes - b.Setting.Processes; d != 0 {
			return d
		}
		return int(a.Setting.Task - b.Setting.Task)
	})
	where := "For " + g.Setting.size()
	q, hasQueue := g.bestQueue()
	d, hasDirect := g.simplest()
	switch {
	case hasDirect && (!hasQueue || compare(d, q) != slower && (value(d.Wait.Max) <= calm || value(d.Wait.Max) <= 2*value(q.Wait.Max))):
		text := fmt.Sprintf("%s: %s. %s, and the worst wait was %s.", where, d.Strategy, served(d), clockMillis(value(d.Wait.Max)))
		if hasQueue {
			text += fmt.Sprintf(" A queue would not make it faster (%s: %s rows/s).", q.Strategy, figure(q.Rate))
		}
		return Advice{text, check(g, d.Strategy)}, true
	case hasQueue:
		text := fmt.Sprintf("%s: %s. %s, and the worst wait was %s.", where, q.Strategy, served(q), clockMillis(value(q.Wait.Max)))
		if b, ok := g.bestDirect(); ok {
			text += fmt.Sprintf(" The best without a queue, %s, stored %s rows/s with a worst wait of %s%s.",
				b.Strategy, figure(b.Rate), clockMillis(value(b.Wait.Max)), unfair(b))
		} else {
			text += " No strategy without a queue stored all rows."
		}
		return Advice{text, check(g, q.Strategy)}, true
	}
	return Advice{where + ": none of these. Each lost rows, or starved a process. Try short, which holds the lock for a moment only, " +
		"and confirmed, which has one writer for all.", check(g, "short")}, true
}

func served(t Trial) string {
	s := fmt.Sprintf("It stored all %s rows, %s a second", thousands(int64(t.Stored)), figure(t.Rate))
	if t.Fairness != nil && *t.Fairness >= 0.9 && t.Processes > 1 && find(t.Strategy).Queue != FromQueue {
		s += fmt.Sprintf(", served every process (Jain's index %.2f)", *t.Fairness)
	}
	return s
}

func unfair(t Trial) string {
	if t.starved() {
		return ", and starved a process"
	}
	return ""
}

// simplest is the first strategy without a queue that stored all, locked no
// one out, starved no one, and is about as fast as the best of these.
func (g group) simplest() (Trial, bool) {
	var able []Trial
	for _, t := range g.trials {
		if find(t.Strategy).Queue == NoQueue && t.whole() && len(t.Errors) == 0 && !t.starved() && t.Rate > 0 {
			able = append(able, t)
		}
	}
	if len(able) == 0 {
		return Trial{}, false
	}
	best := slices.MaxFunc(able, func(a, b Trial) int { return int(1000 * (a.Rate - b.Rate)) })
	slices.SortStableFunc(able, func(a, b Trial) int { return find(a.Strategy).Rank - find(b.Strategy).Rank })
	i := slices.IndexFunc(able, func(t Trial) bool {
		return compare(t, best) != slower && (value(t.Wait.Max) <= calm || value(t.Wait.Max) <= 2*value(best.Wait.Max))
	})
	return able[i], true
}

// check is the command that repeats the comparison that matters: the
// recommended strategy against short and confirmed, the best of either kind.
func check(g group, strategy string) string {
	s := g.Setting
	names := []string{strategy}
	for _, n := range []string{"short", "confirmed"} {
		if n != strategy {
			names = append(names, n)
		}
	}
	c := fmt.Sprintf("go run ./contention --processes %d", s.Processes)
	if s.For > 0 {
		c += " --for " + s.For.String()
	} else {
		c += fmt.Sprintf(" --rows %d", s.Rows)
	}
	c += " --task " + shortDuration(s.Task)
	if s.PerTransaction != 1 {
		c += fmt.Sprintf(" --rows-per-transaction %d", s.PerTransaction)
	}
	if s.Offered > 0 {
		c += fmt.Sprintf(" --offered %g/s", s.Offered)
	}
	if s.Sync != "full" {
		c += " --sync " + s.Sync
	}
	return c + " --strategies " + strings.Join(names, ",") + " --repeat 5"
}

func shortDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return d.String()
}
