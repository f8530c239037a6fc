package main

// What turnstile sets out to reach, beside what was measured. They are
// targets: one that is not met is shown like one that is.

import (
	"fmt"
	"math"
	"slices"
)

// A target is one of them. Met is null where it was not measured.
type target struct {
	What     string `json:"what"`
	Goal     string `json:"goal"`
	Measured string `json:"measured"`
	Met      *bool  `json:"met"`
	Command  string `json:"command"` // that shows it
}

// A goal finds its figure in a report. ok: it was measured.
type goal struct {
	what, goal, only string
	find             func(r report) (measured string, met, ok bool)
}

var goals = []goal{
	{"pipeline against .import", "3 times as fast", "pipeline", func(r report) (string, bool, bool) { return r.faster("pipeline", "pipeline", ".import", 3) }},
	{"database against .import's", "1/7 of its size", "pipeline", databases},
	{"memory of each process, largest file", "100 MiB", "pipeline", memories},
	{"published to visible, 1,000 rows/s, p99", "20 ms", "latency", visible},
	{"confirmed against the best direct strategy, 16 processes: rows/s", "1.5 times", "lab", throughput},
	{"... its worst wait", "1/100", "lab", worstWait},
	{"... its fairness (Jain)", "0.99", "lab", fairness},
	{"verify", "2.5 M rows/s", "proof", func(r report) (string, bool, bool) { return r.rate("proof", "verify", 2.5e6) }},
	{"replay of a stored file", "1.5 M rows/s", "proof", func(r report) (string, bool, bool) { return r.rate("proof", "replay", 1.5e6) }},
	{"consumer load against .import", "4 times as fast", "load", func(r report) (string, bool, bool) { return r.faster("load", "load, no proof", ".import", 4) }},
}

func judge(r report) []target {
	targets := []target{}
	for _, g := range goals {
		t := target{What: g.what, Goal: g.goal, Measured: "not measured", Command: "go run ./internal/bench --only " + g.only}
		if measured, met, ok := g.find(r); ok {
			t.Measured, t.Met = measured, &met
		}
		targets = append(targets, t)
	}
	return targets
}

// largest is a comparison at the size that matters most.
func (r report) largest(name string) (comparison, bool) {
	all := r.sizes(name)
	if len(all) == 0 {
		return comparison{}, false
	}
	return all[len(all)-1], true
}

// sizes are the comparisons of a name, the smallest file first.
func (r report) sizes(name string) (found []comparison) {
	for _, c := range r.Comparisons {
		if c.Name == name {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b comparison) int { return a.Rows - b.Rows })
	return found
}

func (c comparison) outcome(name string) (outcome, bool) {
	i := slices.IndexFunc(c.Outcomes, func(o outcome) bool { return o.Name == name })
	if i < 0 {
		return outcome{}, false
	}
	return c.Outcomes[i], true
}

func (r report) faster(name, ours, other string, want float64) (string, bool, bool) {
	c, ok := r.largest(name)
	o, found := c.outcome(other)
	if !ok || !found || o.Ratio == nil || c.Outcomes[0].Name != ours {
		return "", false, false
	}
	return fmt.Sprintf("%.2f times (%.2f to %.2f), %s rows", o.Ratio.Median, o.Ratio.Min, o.Ratio.Max, thousands(c.Rows)), o.Ratio.Median >= want, true
}

func (r report) rate(name, subject string, want float64) (string, bool, bool) {
	c, _ := r.largest(name)
	o, ok := c.outcome(subject)
	return fmt.Sprintf("%.2f M rows/s, %s rows", o.Rate/1e6, thousands(c.Rows)), o.Rate >= want, ok
}

func databases(r report) (string, bool, bool) {
	c, _ := r.largest("pipeline")
	ours, ok := c.outcome("pipeline")
	other, found := c.outcome(".import")
	if !ok || !found {
		return "", false, false
	}
	ratio := float64(other.Database) / float64(ours.Database)
	return fmt.Sprintf("1/%.1f", ratio), ratio >= 7, true
}

func memories(r report) (text string, met, ok bool) {
	c, _ := r.largest("pipeline")
	o, found := c.outcome("pipeline")
	met = true
	for _, p := range o.Processes {
		if p.Peak == nil {
			return "", false, false
		}
		text += fmt.Sprintf("%s %s, ", p.Name, mebibytes(p.Peak))
		met = met && *p.Peak <= 100<<20
	}
	return text + thousands(c.Rows) + " rows", met, found
}

func visible(r report) (string, bool, bool) {
	for _, l := range r.Latencies {
		if l.Offered == 1000 {
			return fmt.Sprintf("%.1f ms", l.Visible.P99), l.Visible.P99 <= 20, true
		}
	}
	return "", false, false
}

// bestDirect is the fastest of those that write themselves and wait for the
// lock. That one which gives up at once waits for nothing is no merit: it is
// in the table, not here.
func bestDirect(trials []trial, processes int) (best, confirmed trial, ok bool) {
	for _, t := range trials {
		switch {
		case t.Processes != processes:
		case t.Strategy == "confirmed":
			confirmed = t
		case slices.Contains([]string{"direct", "wal", "immediate", "short"}, t.Strategy) && t.Rate > best.Rate:
			best = t
		}
	}
	return best, confirmed, best.Rate > 0 && confirmed.Rate > 0
}

const labProcesses = 16

func throughput(r report) (string, bool, bool) {
	best, confirmed, ok := bestDirect(r.Lab, labProcesses)
	if !ok {
		return "", false, false
	}
	ratio := confirmed.Rate / best.Rate
	return fmt.Sprintf("%.2f times (%s: %.0f and %.0f rows/s)", ratio, best.Strategy, confirmed.Rate, best.Rate), ratio >= 1.5, true
}

func worstWait(r report) (string, bool, bool) {
	best, confirmed, ok := bestDirect(r.Lab, labProcesses)
	if !ok || best.Wait.Max == nil || confirmed.Wait.Max == nil {
		return "", false, false
	}
	ratio := *best.Wait.Max / math.Max(*confirmed.Wait.Max, 0.001)
	return fmt.Sprintf("1/%.0f (%.1f and %.0f ms)", ratio, *confirmed.Wait.Max, *best.Wait.Max), ratio >= 100, true
}

func fairness(r report) (string, bool, bool) {
	best, confirmed, ok := bestDirect(r.Lab, labProcesses)
	if !ok || confirmed.Fairness == nil || best.Fairness == nil {
		return "", false, false
	}
	return fmt.Sprintf("%.3f (%s: %.3f)", *confirmed.Fairness, best.Strategy, *best.Fairness), *confirmed.Fairness >= 0.99, true
}
