package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// finding is a sentence about the trials of one size, or of all ("").
type finding struct {
	size   string
	text   string
	weight float64 // of several sizes the one with the most weight is told
}

// Findings says what the trials show: what went wrong first, then the rest by
// importance. Each sentence follows from numbers of this run, and none begins with
// the name of a strategy, which is lower case. Where all trials have one size, no
// sentence repeats it.
func Findings(trials []Trial) []string {
	sizes := map[string]bool{}
	for _, g := range comparableGroups(trials) {
		sizes[g.Setting.Size()] = true
	}
	var sentences []string
	for _, find := range []func([]Trial) []finding{
		unaccountedRows, deaths, deadlines, unevenStarts, externalHolders, otherErrors,
		introduction, busyErrors, starvation, taskInTransaction, turnsGain, freeLock, confirmedGain, noQueueNeeded,
		queuedCost, manyConsumers, allStored, offeredLoad,
	} {
		for _, f := range find(trials) {
			if f.size != "" && len(sizes) > 1 {
				f.text = f.size + ": " + f.text
			}
			sentences = append(sentences, capitalize(f.text))
		}
	}
	return sentences
}

// strongest keeps the finding with the most weight, and says how often the
// same was found.
func strongest(f []finding) []finding {
	if len(f) < 2 {
		return f
	}
	best := slices.MaxFunc(f, func(a, b finding) int { return int(1000 * (a.weight - b.weight)) })
	best.text += fmt.Sprintf(" The same holds at %s.", count(len(f)-1, "other size", "other sizes"))
	return []finding{best}
}

func unaccountedRows(trials []Trial) (f []finding) {
	for _, t := range trials {
		if u := t.Unaccounted; u != 0 || t.Range["unaccounted"] != [2]float64{} {
			f = append(f, finding{size: t.Size(), text: fmt.Sprintf("do not trust %s: %d rows are neither in the table nor known to be lost.", t.Strategy, u)})
		}
	}
	return f
}

func deaths(trials []Trial) (f []finding) {
	for _, t := range trials {
		for _, d := range t.Deaths {
			f = append(f, finding{size: t.Size(), text: fmt.Sprintf("%s of %s died (%s) after %s.", d.Process, t.Strategy, d.How, count(d.Ended, "row", "rows"))})
		}
	}
	return f
}

func deadlines(trials []Trial) (f []finding) {
	for _, t := range trials {
		if t.TimedOut {
			f = append(f, finding{size: t.Size(), text: fmt.Sprintf("the deadline of %s ended %s early; unfinished waits count up to then.",
				exactTime(t.Limit()), t.Strategy)})
		}
	}
	return f
}

func unevenStarts(trials []Trial) (f []finding) {
	for _, t := range trials {
		if len(t.Restarts) == 0 {
			continue
		}
		text := fmt.Sprintf("the processes of %s started %s apart, %d times in a row: this machine is too busy for a fair start.",
			t.Strategy, roundTime(t.StartSpread), len(t.Restarts))
		if t.StartSpread <= MaxStartSpread {
			text = fmt.Sprintf("a trial of %s was run again, because its processes had started %s apart.", t.Strategy,
				roundTime(t.Restarts[len(t.Restarts)-1]))
		}
		f = append(f, finding{size: t.Size(), text: text})
	}
	return f
}

// externalHolders are lock holders that are not processes of the trial.
func externalHolders(trials []Trial) (f []finding) {
	for _, t := range trials {
		i := slices.IndexFunc(t.Busy, func(b BusyWait) bool { return b.Observed != nil && b.Observed.External })
		if i >= 0 {
			b := t.Busy[i]
			f = append(f, finding{size: t.Size(), text: fmt.Sprintf("while %s of %s waited, the lock was held by external process %d (%s).",
				b.Process, t.Strategy, b.Observed.PID, b.Observed.Process)})
		}
	}
	return f
}

func otherErrors(trials []Trial) (f []finding) {
	for _, t := range trials {
		for _, code := range slices.Sorted(maps.Keys(t.Errors)) {
			if !isBusy(code) {
				f = append(f, finding{size: t.Size(), text: fmt.Sprintf("with %s, %s failed: %s.", t.Strategy,
					count(t.Errors[code], "transaction", "transactions"), CodeText(code))})
			}
		}
	}
	return f
}

// introduction compares the two trials of the introduction.
func introduction(trials []Trial) []finding {
	var without, with *Trial
	for i, t := range trials {
		switch {
		case !t.Introduction || t.Interrupted:
		case t.Task == 0:
			without = &trials[i]
		default:
			with = &trials[i]
		}
	}
	if without == nil || with == nil || !without.complete() || with.BusyCount() == 0 || len(with.Busy) == 0 {
		return nil
	}
	b := longest(with.Busy)
	return []finding{{text: fmt.Sprintf("the introduction: without a task all %d rows are stored; with a task of %s inside the transaction "+
		"%d of %d are lost to \"database is locked\". %s waited %s%s.", without.Asked, exactTime(with.Task), with.Lost, with.Asked,
		b.Process, roundTime(b.Waited), heldMeanwhile(b))}}
}

// busyErrors says of each strategy how many rows SQLITE_BUSY cost it, in the
// worst of its trials, and of the longest such wait who held the lock.
func busyErrors(trials []Trial) []finding {
	var lost []string
	var worst BusyWait
	var worstIn Trial
	for _, ts := range byStrategy(trials) {
		t, in := worstBusy(ts)
		if in == 0 {
			continue
		}
		s := fmt.Sprintf("%s lost %s of %s rows", t.Strategy, thousands(t.Lost), thousands(t.Asked))
		if t.Lost == 0 {
			s = fmt.Sprintf("%s got SQLITE_BUSY %s and lost no row", t.Strategy, occurrences(t.BusyCount()))
		}
		if len(ts) > 1 {
			s += fmt.Sprintf(" (%s; in %d of its %d trials)", t.Size(), in, len(ts))
		}
		lost = append(lost, s)
		if len(t.Busy) > 0 {
			if b := longest(t.Busy); b.Waited >= worst.Waited {
				worst, worstIn = b, t
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	s := fmt.Sprintf("\"database is locked\": %s.", joinNames(lost))
	if worstIn.Asked > 0 {
		s += fmt.Sprintf(" The longest wait: %s of %s waited %s%s.", worst.Process, worstIn.Strategy, roundTime(worst.Waited), heldMeanwhile(worst))
	}
	return []finding{{text: s}}
}

// worstBusy returns the trial that lost the greatest part of its rows, and in
// how many trials there was an SQLITE_BUSY.
func worstBusy(trials []Trial) (worst Trial, in int) {
	for _, t := range trials {
		if t.BusyCount() == 0 {
			continue
		}
		in++
		if worst.Asked == 0 || t.Lost*worst.Asked > worst.Lost*t.Asked {
			worst = t
		}
	}
	return worst, in
}

func longest(waits []BusyWait) BusyWait {
	return slices.MaxFunc(waits, func(a, b BusyWait) int { return int(a.Waited - b.Waited) })
}

// byStrategy sorts the trials that are compared by strategy, in the order of
// their first appearance.
func byStrategy(trials []Trial) [][]Trial {
	var order []string
	by := map[string][]Trial{}
	for _, t := range trials {
		if t.Introduction {
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

// starvation is what neither errors nor p99 show. It is told of the size at
// which it was worst.
func starvation(trials []Trial) []finding {
	var worst Trial
	for _, t := range trials {
		if !t.Introduction && t.starved() && t.BusyCount() == 0 && valueOf(t.Wait.Max) > valueOf(worst.Wait.Max) {
			worst = t
		}
	}
	if worst.Wait.Max == nil {
		return nil
	}
	var who []string
	for _, t := range trials {
		if t.starved() && t.BusyCount() == 0 && t.Size() == worst.Size() && !t.Introduction {
			who = append(who, starvedProcess(t))
		}
	}
	s := fmt.Sprintf("starvation without any error: %s. The maximum wait for one row was %s (%s, %s)",
		strings.Join(who, "; "), roundMillis(*worst.Wait.Max), worst.Strategy, worst.Wait.Worst)
	if worst.longTail() {
		s += fmt.Sprintf("; p99 (%s) hides it, because a starved process adds few samples", roundMillis(*worst.Wait.P99))
	}
	return []finding{{size: worst.Size(), text: s + "."}}
}

// starvedProcess says what the process with the fewest rows and the one with
// the most got.
func starvedProcess(t Trial) string {
	byRows := func(a, b ProcessResult) int { return a.Rows - b.Rows }
	least, most := slices.MinFunc(t.Processed, byRows), slices.MaxFunc(t.Processed, byRows)
	switch {
	case 10*least.Rows > most.Rows:
		return fmt.Sprintf("with %s, %s waited %s for a row", t.Strategy, t.Wait.Worst, roundMillis(*t.Wait.Max))
	case t.For > 0:
		return fmt.Sprintf("with %s, %s stored %s and %s %s", t.Strategy, least.Process, count(least.Rows, "row", "rows"),
			most.Process, thousands(most.Rows))
	}
	return fmt.Sprintf("with %s, %s had stored all its %s when %s had stored %d", t.Strategy, most.Process, count(most.Rows, "row", "rows"),
		least.Process, least.Rows)
}

// taskInTransaction compares a strategy that runs the task while it holds the
// lock with short, which runs it before. It also says how much of the gain of
// a queue comes from that alone.
func taskInTransaction(trials []Trial) (f []finding) {
	for _, g := range comparableGroups(trials) {
		short, ok := g.get("short")
		inside, ok2 := g.taskInTransaction()
		if g.Setting.Task == 0 || !ok || !ok2 || compareRates(short, inside) != faster {
			continue
		}
		least := float64(inside.Stored) * g.Setting.Task.Seconds()
		s := fmt.Sprintf("the tasks of %s run inside its transactions, one after another: %s x %s is at least %s, and it took %s. "+
			"Those of short run before BEGIN, in all processes at once: %s rows/s instead of %s, %s as many, without a queue.",
			inside.Strategy, thousands(inside.Stored), exactTime(g.Setting.Task), roundSeconds(least), roundSeconds(valueOf(inside.Seconds)),
			figure(short.Rate), figure(inside.Rate), multiple(short.Rate/inside.Rate))
		if q, ok := g.fastestQueue(); ok && compareRates(q, inside) == faster {
			s += fmt.Sprintf(" This alone gives %s of the gain of %s (%s rows/s).",
				percentage(short.Rate-inside.Rate, q.Rate-inside.Rate), q.Strategy, figure(q.Rate))
		}
		f = append(f, finding{g.Setting.Size(), s, short.Rate / inside.Rate})
	}
	return strongest(f)
}

func percentage(part, whole float64) string {
	if part >= whole {
		return "all"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}

// turnsGain compares turns with the fastest strategy that lets SQLite decide
// who is next, and says what the price of fairness is.
func turnsGain(trials []Trial) (f []finding) {
	for _, g := range comparableGroups(trials) {
		t, ok := g.get("turns")
		other, ok2 := g.fastestPolling()
		if !ok || !ok2 || !t.complete() || t.Processes < 2 {
			continue
		}
		gain := valueOf(other.Wait.Max) / max(valueOf(t.Wait.Max), 0.001)
		if gain < 5 || valueOf(other.Wait.Max) < acceptableMillis {
			continue
		}
		s := fmt.Sprintf("processes that take turns are treated fairly without a server: the maximum wait of turns was %s against %s with %s (Jain's index %s against %s), at %s rows/s against %s.",
			roundMillis(valueOf(t.Wait.Max)), roundMillis(valueOf(other.Wait.Max)), other.Strategy,
			jainText(t.Fairness), jainText(other.Fairness), figure(t.Rate), figure(other.Rate))
		if q, ok := g.fastestQueue(); ok && compareRates(q, t) == faster {
			s += fmt.Sprintf(" The writer of %s commits for several processes at once: %s as many rows.", q.Strategy, multiple(q.Rate/t.Rate))
		}
		f = append(f, finding{g.Setting.Size(), s, gain})
	}
	return strongest(f)
}

// freeLock says how much of the waiting for the lock was in vain: SQLite polls,
// so a waiter may sleep while the lock is free. It is told of the trial with
// the most of it.
func freeLock(trials []Trial) []finding {
	var worst Trial
	for _, t := range trials {
		if !t.Introduction && !Find(t.Strategy).Turns && t.LockWait.Free > worst.LockWait.Free {
			worst = t
		}
	}
	w := worst.LockWait
	if w.Free < 100*time.Millisecond || w.Free < w.Total/20 {
		return nil
	}
	return []finding{{size: worst.Size(), text: fmt.Sprintf("the processes of %s waited %s for the lock in all, and for %s of that time nobody held it: "+
		"SQLite does not queue its waiters, they poll and sleep up to 100 ms in between.", worst.Strategy, roundTime(w.Total),
		percentage(w.Free.Seconds(), w.Total.Seconds()))}}
}

// manyConsumers compares many consumers of one queue with a single writer.
func manyConsumers(trials []Trial) (f []finding) {
	for _, g := range comparableGroups(trials) {
		many, ok := g.get("consumers")
		if !ok || many.Processes < 2 {
			continue
		}
		one, ok := g.get("queued")
		slow := ok && compareRates(many, one) == slower
		if many.BusyCount() == 0 && !slow {
			continue
		}
		s := fmt.Sprintf("%d consumers of one queue compete for the lock again. They", many.Processes)
		if many.BusyCount() > 0 {
			s += fmt.Sprintf(" got SQLITE_BUSY %s and", occurrences(many.BusyCount()))
		}
		s += fmt.Sprintf(" stored %s rows/s, with a maximum wait of %s", figure(many.Rate), roundMillis(valueOf(many.Wait.Max)))
		weight := float64(many.BusyCount())
		if slow {
			s += fmt.Sprintf("; a single writer behind the same queue (queued) stored %s rows/s", figure(one.Rate))
			weight += one.Rate / many.Rate
		}
		f = append(f, finding{g.Setting.Size(), s + ".", weight})
	}
	return strongest(f)
}

// pair is two trials of one group.
type pair struct {
	group
	a, b Trial
}

// pairsByTask pairs a strategy with the fastest one without a queue, in every
// group; a list for each task, the fewest processes first.
func pairsByTask(trials []Trial, strategy string) [][]pair {
	var out [][]pair
	for _, g := range comparableGroups(trials) {
		a, ok := g.get(strategy)
		b, ok2 := g.fastestDirect()
		if !ok || !ok2 || !a.complete() {
			continue
		}
		i := slices.IndexFunc(out, func(p []pair) bool { return p[0].Setting.Task == g.Setting.Task })
		if i < 0 {
			i, out = len(out), append(out, nil)
		}
		out[i] = append(out[i], pair{g, a, b})
	}
	for _, ps := range out {
		slices.SortStableFunc(ps, func(a, b pair) int { return a.a.Processes - b.a.Processes })
	}
	return out
}

// queuedCost says what a durable queue in front of the table costs or gains, at
// equal durability.
func queuedCost(trials []Trial) (f []finding) {
	for _, ps := range pairsByTask(trials, "queued") {
		if len(ps) > 1 {
			f = append(f, finding{text: sweepSentence(ps)})
			continue
		}
		p := ps[0]
		var s string
		switch compareRates(p.a, p.b) {
		case slower:
			s = fmt.Sprintf("at equal durability, queued costs throughput: %s rows/s, and %s %s. "+
				"The queue syncs each row to disk, and the table does so again.", figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate))
		case faster:
			s = fmt.Sprintf("the writer of queued stores %s rows/s, %s as many as the best strategy without a queue (%s, %s).",
				figure(p.a.Rate), multiple(p.a.Rate/p.b.Rate), p.b.Strategy, figure(p.b.Rate))
		case equal:
			s = p.tie() + "."
		}
		f = append(f, finding{size: p.Setting.Size(), text: s})
	}
	return f
}

// confirmedGain says what the group commit of the single writer gains.
func confirmedGain(trials []Trial) (f []finding) {
	for _, ps := range pairsByTask(trials, "confirmed") {
		if len(ps) > 1 {
			f = append(f, finding{text: sweepSentence(ps)})
			continue
		}
		p := ps[0]
		var s string
		switch compareRates(p.a, p.b) {
		case faster:
			each := ""
			if p.a.RowsPerCommit != nil {
				each = fmt.Sprintf(", %s rows a commit", figure(*p.a.RowsPerCommit))
			}
			s = fmt.Sprintf("the writer of confirmed commits for all waiting processes at once%s: %s rows/s, %s as many as %s (%s)",
				each, figure(p.a.Rate), multiple(p.a.Rate/p.b.Rate), p.b.Strategy, figure(p.b.Rate))
		case slower:
			s = fmt.Sprintf("here confirmed does not pay: %s rows/s, and %s %s", figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate))
		case equal:
			s = p.tie()
		}
		s += fmt.Sprintf(". The maximum wait was %s with confirmed, and %s with %s.", roundMillis(valueOf(p.a.Wait.Max)), roundMillis(valueOf(p.b.Wait.Max)), p.b.Strategy)
		f = append(f, finding{size: p.Setting.Size(), text: s})
	}
	return f
}

// tie says that two rates cannot be told apart.
func (p pair) tie() string {
	why := "one run of each can't tell them apart"
	if p.a.Repeat > 1 && p.b.Repeat > 1 {
		why = "the ranges of their repeats overlap, so the difference is noise"
	}
	return fmt.Sprintf("no clear winner: %s (%s rows/s) and %s (%s); %s", p.a.Strategy, figure(p.a.Rate), p.b.Strategy, figure(p.b.Rate), why)
}

// sweepSentence says from which number of processes on a strategy is faster.
func sweepSentence(ps []pair) string {
	task := "without a task"
	if t := ps[0].Setting.Task; t > 0 {
		task = "with a task of " + exactTime(t)
	}
	last := ps[len(ps)-1]
	return fmt.Sprintf("against the best strategy without a queue, %s, %s is %s. With %s it stored %s rows/s, and %s %s.",
		task, last.a.Strategy, paysFrom(ps), count(last.a.Processes, "process", "processes"),
		figure(last.a.Rate), last.b.Strategy, figure(last.b.Rate))
}

// paysFrom says from how many processes on the first of each pair is faster.
func paysFrom(ps []pair) string {
	first := len(ps)
	for first > 0 && compareRates(ps[first-1].a, ps[first-1].b) == faster {
		first--
	}
	switch {
	case first == len(ps):
		return "not faster with the most processes"
	case first == 0:
		return "faster at every size"
	}
	return fmt.Sprintf("faster from %s on", count(ps[first].a.Processes, "process", "processes"))
}

// noQueueNeeded says where a strategy without a queue is good enough.
func noQueueNeeded(trials []Trial) (f []finding) {
	for _, g := range comparableGroups(trials) {
		q, ok := g.fastestQueue()
		if !ok {
			continue
		}
		d, ok := g.simplestDirect()
		if !ok || compareRates(d, q) == slower || !acceptableWait(d, q) {
			continue
		}
		f = append(f, finding{g.Setting.Size(), fmt.Sprintf("no queue is needed: %s stored all %s rows at %s rows/s (%s: %s), "+
			"without SQLITE_BUSY and with a maximum wait of %s.", d.Strategy, thousands(d.Stored), figure(d.Rate), q.Strategy, figure(q.Rate),
			roundMillis(valueOf(d.Wait.Max))), float64(d.Processes)})
	}
	return strongest(f)
}

func allStored(trials []Trial) []finding {
	all := len(trials)
	trials = slices.DeleteFunc(slices.Clone(trials), func(t Trial) bool { return t.Introduction })
	where := ""
	if len(trials) < all {
		where = "in the comparison "
	}
	if len(trials) == 0 || slices.ContainsFunc(trials, func(t Trial) bool { return !t.complete() || len(t.Errors) > 0 }) {
		return nil
	}
	what := "every row of " + trials[0].Strategy
	if n := len(byStrategy(trials)); n > 1 {
		what = fmt.Sprintf("every row of the %s strategies of this run", words(n))
	}
	return []finding{{text: where + what + " was stored, without any SQLITE_BUSY."}}
}

// offeredLoad is the one case in which the report may claim this.
func offeredLoad(trials []Trial) []finding {
	if len(trials) == 0 || slices.ContainsFunc(trials, func(t Trial) bool { return t.Offered == 0 && !t.Introduction }) {
		return nil
	}
	return []finding{{text: "waits count from when a row is due, even if its process is still busy with an earlier one: there is no coordinated omission."}}
}

// heldMeanwhile says who held the lock during a wait, and how long nobody did.
func heldMeanwhile(w BusyWait) string {
	if len(w.Holders) == 0 {
		return ""
	}
	var who []string
	for i, h := range w.Holders[:min(3, len(w.Holders))] {
		verb := ""
		if i == 0 {
			verb = "held the lock "
		}
		in := ""
		if h.Holds > 1 {
			in = fmt.Sprintf(" in %d transactions", h.Holds)
		}
		who = append(who, fmt.Sprintf("%s %sfor %s%s", h.Process, verb, roundTime(h.Held), in))
	}
	if w.Free >= time.Millisecond {
		who = append(who, "nobody for "+roundTime(w.Free))
	}
	return " while " + joinNames(who)
}
