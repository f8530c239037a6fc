package main

// Many processes and one database file: the queue against the direct strategies.

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"turnstile/internal/lab/report"
)

// labStrategies are confirmed, the direct strategies that poll for the lock, and
// turns, which is direct and fair.
var labStrategies = []string{"confirmed", "direct", "wal", "immediate", "short", "turns"}

// lab runs contention once a round: the trials of a ratio run within a minute.
func (b *bench) lab(ctx context.Context) error {
	rounds := [][]report.Trial{}
	for range b.rounds {
		err := b.fresh("", func(dir string) error {
			_, out, err := b.finish(ctx, "", "contention", "--strategies", strings.Join(labStrategies, ","),
				"--processes", "16", "--task", "0", "--for", fmt.Sprint(b.seconds, "s"), "--dir", dir, "--format", "json")
			if err != nil {
				return err
			}
			r, _, err := report.Read(bytes.NewReader(out))
			if err != nil {
				return err
			}
			rounds = append(rounds, r.Trials)
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.labResult(rounds)
	return nil
}

func (b *bench) labResult(rounds [][]report.Trial) {
	t := figures{Title: "16 processes, one row a transaction, no task", Columns: []string{"rows/s", "max wait ms", "Jain's index"}}
	for _, name := range labStrategies {
		var values [][]float64
		for _, trials := range rounds {
			s := trialOf(trials, name)
			values = append(values, []float64{s.Rate, value(s.Wait.Max), value(s.Fairness)})
		}
		t.add(name, values)
	}
	b.result.Tables = append(b.result.Tables, t)

	var fair, best, wait []float64
	for _, trials := range rounds {
		c := trialOf(trials, "confirmed")
		direct := fastest(trials, labStrategies[1:], 0)
		fair = append(fair, divide(c.Rate, fastest(trials, labStrategies[1:], 0.9).Rate))
		best = append(best, divide(c.Rate, direct.Rate))
		wait = append(wait, divide(value(direct.Wait.Max), value(c.Wait.Max)))
	}
	b.target("confirmed against the fastest fair direct strategy, rows/s", ">= 2", spreadOf(fair).Median >= 2, spreadOf(fair).text(2))
	b.target("confirmed against the fastest direct strategy, rows/s", ">= 1.2", spreadOf(best).Median >= 1.2, spreadOf(best).text(2))
	b.target("max wait of confirmed against that strategy's", "<= 1/100", spreadOf(wait).Median >= 100, "1/"+spreadOf(wait).text(0))
}

func trialOf(trials []report.Trial, strategy string) report.Trial {
	for _, t := range trials {
		if t.Strategy == strategy {
			return t
		}
	}
	return report.Trial{}
}

// fastest returns the trial with the most rows/s, of some strategies, and of
// those whose Jain's index is at least fairness.
func fastest(trials []report.Trial, strategies []string, fairness float64) (best report.Trial) {
	for _, t := range trials {
		if slices.Contains(strategies, t.Strategy) && t.Rate > best.Rate && (fairness == 0 || value(t.Fairness) >= fairness) {
			best = t
		}
	}
	return best
}

// value returns 0 for an unknown figure.
func value(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// divide returns 0 where there is nothing to compare with.
func divide(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
