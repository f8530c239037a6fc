package lab

// Findings that compare strategies of one size: what a task in the transaction
// costs, and what a queue costs and gains.

import (
	"fmt"
	"slices"
	"strings"
)

// compared are the groups findings may compare; the original experiment is not
// one of them.
func compared(trials []Trial) []group {
	return groups(slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Original || t.Stopped }))
}

// taskInside compares a strategy that works with the lock in its hand with
// short, which works before it takes the lock; and says how much of what a
// queue gains is just that.
func taskInside(trials []Trial) (f []finding) {
	for _, g := range compared(trials) {
		short, ok := g.get("short")
		inside, ok2 := g.inside()
		if g.Setting.Task == 0 || !ok || !ok2 || compare(short, inside) != faster {
			continue
		}
		floor := float64(inside.Stored) * g.Setting.Task.Seconds()
		s := fmt.Sprintf("with the task between INSERT and COMMIT the processes work one after another, and %s x %s is %s at the least; "+
			"%s took %s. short does the same work before BEGIN, all at once: %s rows/s instead of %s, %s as many, without a queue.",
			thousands(int64(inside.Stored)), exact(g.Setting.Task), seconds2(floor),
			inside.Strategy, seconds2(value(inside.Seconds)), figure(short.Rate), figure(inside.Rate), times(short.Rate/inside.Rate))
		if q, ok := g.bestQueue(); ok && compare(q, inside) == faster {
			s += fmt.Sprintf(" Of what %s gains over %s (%s rows/s), that is %s.",
				q.Strategy, inside.Strategy, figure(q.Rate), share(short.Rate-inside.Rate, q.Rate-inside.Rate))
		}
		f = append(f, finding{g.Setting.size(), s})
	}
	return f
}

func share(part, whole float64) string {
	if part >= whole {
		return "all of it, and more"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}

func seconds2(s float64) string { return clockMillis(1000 * s) }

// inside is the simplest strategy of the group that works with the lock held.
func (g group) inside() (Trial, bool) {
	for _, name := range []string{"direct", "wal", "immediate"} {
		if t, ok := g.get(name); ok {
			return t, true
		}
	}
	return Trial{}, false
}

// bestQueue is the faster of the two strategies with one writer.
func (g group) bestQueue() (best Trial, ok bool) {
	for _, t := range g.trials {
		if find(t.Strategy).Queue.writer() && t.whole() && t.Rate > 0 && (!ok || t.Rate > best.Rate) {
			best, ok = t, true
		}
	}
	return best, ok
}

// consumersLock holds many consumers of one queue against one.
func consumersLock(trials []Trial) (f []finding) {
	for _, g := range compared(trials) {
		many, ok := g.get("consumers")
		if !ok || many.Processes < 2 {
			continue
		}
		one, ok := g.get("queued")
		slow := ok && compare(many, one) == slower
		if many.LockedOut() == 0 && !slow {
			continue
		}
		s := fmt.Sprintf("%d consumers on one queue bring the lock back. They", many.Processes)
		if many.LockedOut() > 0 {
			s += fmt.Sprintf(" were locked out %s and", howOften(many.LockedOut()))
		}
		s += fmt.Sprintf(" stored %s rows/s, waiting up to %s for each other", figure(many.Rate), clockMillis(value(many.Wait.Max)))
		if slow {
			s += fmt.Sprintf("; one writer behind the same queue (queued) stored %s", figure(one.Rate))
		}
		f = append(f, finding{g.Setting.size(), s + "."})
	}
	return f
}

// A pair is two trials of one group.
type pair struct {
	g    group
	a, b Trial
}

// pairs puts a strategy beside the best one without a queue, in every group,
// by task.
func pairs(trials []Trial, strategy string) [][]pair {
	var out [][]pair
	for _, g := range compared(trials) {
		a, ok := g.get(strategy)
		b, ok2 := g.bestDirect()
		if !ok || !ok2 || !a.whole() {
			continue
		}
		i := slices.IndexFunc(out, func(p []pair) bool { return p[0].g.Setting.Task == g.Setting.Task })
		if i < 0 {
			i, out = len(out), append(out, nil)
		}
		out[i] = append(out[i], pair{g, a, b})
	}
	return out
}

// queuedCost is what a durable queue before the table costs, or gains, at
// equal durability.
func queuedCost(trials []Trial) (f []finding) {
	for _, ps := range pairs(trials, "queued") {
		if len(ps) > 1 {
			f = append(f, finding{"", fmt.Sprintf("queued against the best strategy without a queue, at equal durability%s: %s.", taskOf(ps), sweep(ps))})
			continue
		}
		p := ps[0]
		var s string
		switch compare(p.a, p.b) {
		case slower:
			s = fmt.Sprintf("queued costs: at equal durability it stores %s rows/s and %s %s. "+
				"Each row is synced to disk by the queue, and once more in the table.", figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate))
		case faster:
			s = fmt.Sprintf("queued stores %s rows/s, %s as many as the best strategy without a queue (%s, %s).",
				figure(p.a.Rate), times(p.a.Rate/p.b.Rate), p.b.Strategy, figure(p.b.Rate))
		case same:
			s = p.even() + "."
		}
		f = append(f, finding{p.g.Setting.size(), s})
	}
	return f
}

// confirmedGain is what the group commit of the one writer gains, and from how
// many processes on.
func confirmedGain(trials []Trial) (f []finding) {
	for _, ps := range pairs(trials, "confirmed") {
		if len(ps) > 1 {
			f = append(f, finding{"", fmt.Sprintf("confirmed against the best strategy without a queue, at equal durability%s: %s. %s",
				taskOf(ps), sweep(ps), from(ps))})
			continue
		}
		p := ps[0]
		var s string
		switch compare(p.a, p.b) {
		case faster:
			s = fmt.Sprintf("confirmed commits for all who wait at once: %s rows/s, %s as many as %s (%s)",
				figure(p.a.Rate), times(p.a.Rate/p.b.Rate), p.b.Strategy, figure(p.b.Rate))
		case slower:
			s = fmt.Sprintf("confirmed does not pay here: %s rows/s, and %s %s", figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate))
		case same:
			s = p.even()
		}
		s += fmt.Sprintf("; its worst wait was %s against %s.", clockMillis(value(p.a.Wait.Max)), clockMillis(value(p.b.Wait.Max)))
		f = append(f, finding{p.g.Setting.size(), s})
	}
	return f
}

// even says that two rates are not apart.
func (p pair) even() string {
	why := "one run of each can't tell them apart"
	if p.a.Repeat > 1 && p.b.Repeat > 1 {
		why = "the ranges of their repeats overlap, the difference is noise"
	}
	return fmt.Sprintf("%s (%s rows/s) and %s (%s): %s", p.a.Strategy, figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate), why)
}

func taskOf(ps []pair) string {
	if t := ps[0].g.Setting.Task; t > 0 {
		return ", with a task of " + exact(t)
	}
	return ", without a task"
}

// sweep lists the ratio of the rates at each number of processes.
func sweep(ps []pair) string {
	var s []string
	for _, p := range ps {
		mark := ""
		if compare(p.a, p.b) == same {
			mark = ", within the noise"
		}
		s = append(s, fmt.Sprintf("with %s %s rows/s (%s: %s%s)", count(p.a.Processes, "process", "processes"),
			figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate), mark))
	}
	return strings.Join(s, ", ")
}

// from is the least number of processes from which on it is faster.
func from(ps []pair) string {
	ps = slices.SortedFunc(slices.Values(ps), func(a, b pair) int { return a.a.Processes - b.a.Processes })
	first := len(ps)
	for first > 0 && compare(ps[first-1].a, ps[first-1].b) == faster {
		first--
	}
	switch {
	case first == len(ps):
		return "It is never faster than all others in this run."
	case first == 0:
		return "It is faster at each of these."
	}
	return fmt.Sprintf("It pays from %s on.", count(ps[first].a.Processes, "process", "processes"))
}

// noQueueNeeded is the inconvenient one.
func noQueueNeeded(trials []Trial) (f []finding) {
	for _, g := range compared(trials) {
		q, ok := g.bestQueue()
		if !ok {
			continue
		}
		d, ok := g.simplest()
		if !ok || compare(d, q) == slower || value(d.Wait.Max) > calm && value(d.Wait.Max) > 2*value(q.Wait.Max) {
			continue
		}
		f = append(f, finding{g.Setting.size(), fmt.Sprintf("no queue is needed: %s stored all %s rows at %s rows/s (%s: %s), no one was locked out, and the worst wait was %s.",
			d.Strategy, thousands(int64(d.Stored)), figure(d.Rate), q.Strategy, figure(q.Rate), clockMillis(value(d.Wait.Max)))})
	}
	return f
}

// calm is a worst wait, in milliseconds, that hardly anyone minds.
const calm = 100
