package lab

// Findings: what a run shows, in words. Each sentence is earned by numbers of
// this very run, and has a test that it is not there without them.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A finding is what is said of the trials of one size, or of all ("").
type finding struct {
	size string
	text string
}

// Findings says what the trials show, what went wrong first. Where all trials
// that are compared have one size, the size is not said again and again.
func Findings(trials []Trial) []string {
	sizes := map[string]bool{}
	for _, g := range compared(trials) {
		sizes[g.Setting.size()] = true
	}
	var said []string
	for _, find := range []func([]Trial) []finding{
		unaccounted, deaths, cutShort, startedApart, offered,
		originalLockouts, allArrived, lockouts, strangers, otherErrors, starvation,
		taskInside, consumersLock, queuedCost, confirmedGain, noQueueNeeded,
	} {
		for _, f := range find(trials) {
			if f.size != "" && len(sizes) > 1 {
				f.text = f.size + ": " + f.text
			}
			said = append(said, capital(f.text))
		}
	}
	return said
}

func unaccounted(trials []Trial) (f []finding) {
	for _, t := range trials {
		if u := t.Unaccounted; u != 0 || t.Range["unaccounted"] != [2]float64{} {
			f = append(f, finding{t.size(), fmt.Sprintf("do not trust %s: %d rows are neither in the table nor known to be lost.", t.Strategy, u)})
		}
	}
	return f
}

func deaths(trials []Trial) (f []finding) {
	for _, t := range trials {
		for _, d := range t.Deaths {
			f = append(f, finding{t.size(), fmt.Sprintf("%s of %s died (%s) after %s.", d.Process, t.Strategy, d.How, count(d.Ended, "row", "rows"))})
		}
	}
	return f
}

func cutShort(trials []Trial) (f []finding) {
	for _, t := range trials {
		if t.TimedUp {
			f = append(f, finding{t.size(), fmt.Sprintf("the deadline of %s ended %s early; waits that were not over count as they stood.",
				exact(t.deadline()), t.Strategy)})
		}
	}
	return f
}

func startedApart(trials []Trial) (f []finding) {
	for _, t := range trials {
		if len(t.Apart) == 0 {
			continue
		}
		if t.Spread <= maxSpread {
			f = append(f, finding{t.size(), fmt.Sprintf("%s was run again, because its processes had started %s apart.", t.Strategy,
				clock(t.Apart[len(t.Apart)-1]))})
			continue
		}
		f = append(f, finding{t.size(), fmt.Sprintf("the processes of %s started %s apart, %d times in a row: this machine is too busy for a fair start.",
			t.Strategy, clock(t.Spread), len(t.Apart))})
	}
	return f
}

// offered is the one case in which the report may claim this.
func offered(trials []Trial) []finding {
	if len(trials) == 0 || slices.ContainsFunc(trials, func(t Trial) bool { return t.Offered == 0 && !t.Original }) {
		return nil
	}
	return []finding{{"", "waits are counted from when a row is due, whatever its process is still busy with: they are free of coordinated omission."}}
}

func allArrived(trials []Trial) []finding {
	all := len(trials)
	trials = slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Original })
	where := ""
	if len(trials) < all {
		where = "in the comparison "
	}
	if len(trials) == 0 || slices.ContainsFunc(trials, func(t Trial) bool { return !t.whole() || len(t.Errors) > 0 }) {
		return nil
	}
	return []finding{{"", where + "every row of every strategy arrived, and no one was locked out."}}
}

// originalLockouts holds the two trials of the original experiment against
// each other.
func originalLockouts(trials []Trial) []finding {
	var without, with *Trial
	for i, t := range trials {
		switch {
		case !t.Original || t.Stopped:
		case t.Task == 0:
			without = &trials[i]
		default:
			with = &trials[i]
		}
	}
	if without == nil || with == nil || !without.whole() || with.LockedOut() == 0 || len(with.Lockouts) == 0 {
		return nil
	}
	l := longest(with.Lockouts)
	return []finding{{"", fmt.Sprintf("the original experiment: without a task all %d rows arrive; with %s of work inside the transaction "+
		"%d of %d %s lost to \"database is locked\". %s waited %s%s.", without.Asked, exact(with.Task), with.Lost, with.Asked, are(with.Lost),
		l.Process, clock(l.Waited), blames(l.By))}}
}

// lockouts says for each strategy in how many trials rows were refused, and of
// the worst of them who was locked out by whom.
func lockouts(trials []Trial) (f []finding) {
	for _, ts := range byStrategy(trials) {
		worst, in := Trial{}, 0
		for _, t := range ts {
			if t.LockedOut() == 0 {
				continue
			}
			in++
			if worst.Asked == 0 || t.Lost*worst.Asked > worst.Lost*t.Asked {
				worst = t
			}
		}
		if in == 0 {
			continue
		}
		s := fmt.Sprintf("with %s %s of %s rows %s lost to \"database is locked\".",
			worst.Strategy, thousands(int64(worst.Lost)), thousands(int64(worst.Asked)), are(worst.Lost))
		if worst.Lost == 0 {
			s = fmt.Sprintf("%s was refused %s, and lost nothing.", worst.Strategy, howOften(worst.LockedOut()))
		}
		if len(worst.Lockouts) > 0 {
			l := longest(worst.Lockouts)
			s += fmt.Sprintf(" %s waited %s%s.", l.Process, clock(l.Waited), blames(l.By))
		}
		if in > 1 {
			s += fmt.Sprintf(" It happened in %d of its %d trials.", in, len(ts))
		}
		f = append(f, finding{worst.size(), s})
	}
	return f
}

func longest(ls []Lockout) Lockout {
	return slices.MaxFunc(ls, func(a, b Lockout) int { return int(a.Waited - b.Waited) })
}

// strangers are holders that are no process of the trial.
func strangers(trials []Trial) (f []finding) {
	for _, t := range trials {
		i := slices.IndexFunc(t.Lockouts, func(l Lockout) bool { return l.Seen != nil && l.Seen.Foreign })
		if i >= 0 {
			l := t.Lockouts[i]
			f = append(f, finding{t.size(), fmt.Sprintf("the lock that %s of %s was refused for was held by process %d (%s).",
				l.Process, t.Strategy, l.Seen.PID, l.Seen.Process)})
		}
	}
	return f
}

func otherErrors(trials []Trial) (f []finding) {
	for _, t := range trials {
		for _, code := range slices.Sorted(maps.Keys(t.Errors)) {
			if code&0xff != busy {
				f = append(f, finding{t.size(), fmt.Sprintf("with %s %s failed: %s.", t.Strategy,
					count(t.Errors[code], "transaction", "transactions"), errorText(code))})
			}
		}
	}
	return f
}

// starvation is what neither errors nor p99 show. It is told of the size at
// which it was worst.
func starvation(trials []Trial) []finding {
	var worst Trial
	for _, t := range trials {
		if !t.Original && t.starved() && t.LockedOut() == 0 && value(t.Wait.Max) > value(worst.Wait.Max) {
			worst = t
		}
	}
	if worst.Wait.Max == nil {
		return nil
	}
	var who []string
	for _, t := range trials {
		if t.starved() && t.LockedOut() == 0 && t.size() == worst.size() && !t.Original {
			who = append(who, starving(t))
		}
	}
	s := fmt.Sprintf("no error, and yet some starve: %s. The longest wait for one row was %s (%s, %s)",
		strings.Join(who, "; "), clockMillis(*worst.Wait.Max), worst.Strategy, worst.Wait.Worst)
	if worst.longTail() {
		return []finding{{worst.size(), s + fmt.Sprintf("; p99 (%s) hides it, because who is starved leaves few samples.", clockMillis(*worst.Wait.P99))}}
	}
	return []finding{{worst.size(), s + "."}}
}

// starving says what the poorest and the richest process got.
func starving(t Trial) string {
	poor := slices.MinFunc(t.Shares, func(a, b Share) int { return a.Rows - b.Rows })
	rich := slices.MaxFunc(t.Shares, func(a, b Share) int { return a.Rows - b.Rows })
	switch {
	case 10*poor.Rows > rich.Rows:
		return fmt.Sprintf("with %s %s waited %s for a row", t.Strategy, t.Wait.Worst, clockMillis(*t.Wait.Max))
	case t.For > 0:
		return fmt.Sprintf("with %s %s got %s and %s %s", t.Strategy, poor.Process, count(poor.Rows, "row", "rows"),
			rich.Process, thousands(int64(rich.Rows)))
	}
	return fmt.Sprintf("with %s %s had all its %s when %s had %s", t.Strategy, rich.Process, count(rich.Rows, "row", "rows"),
		poor.Process, none(poor.Rows))
}

func none(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

// byStrategy sorts the trials that are compared by strategy, in the order of
// their first appearance.
func byStrategy(trials []Trial) [][]Trial {
	var order []string
	by := map[string][]Trial{}
	for _, t := range trials {
		if t.Original {
			continue
		}
		if by[t.Strategy] == nil {
			order = append(order, t.Strategy)
		}
		by[t.Strategy] = append(by[t.Strategy], t)
	}
	var out [][]Trial
	for _, name := range order {
		out = append(out, by[name])
	}
	return out
}
