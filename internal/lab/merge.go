package lab

// Repeats: one trial object for several runs of a setting.

import (
	"cmp"
	"math"
	"slices"
)

// merge makes one trial of the runs of a setting: the run whose rate is the
// median, whole, so that its figures belong together, and the range of the
// figures over all runs. What must never be is taken from the worst run.
func merge(runs []Trial) Trial {
	if len(runs) == 1 {
		return runs[0]
	}
	byRate := slices.SortedFunc(slices.Values(runs), func(a, b Trial) int { return cmp.Compare(a.Rate, b.Rate) })
	t := byRate[(len(runs)-1)/2]
	t.Repeat = len(runs)
	t.Range = map[string][2]float64{}
	for _, r := range runs {
		widen(t.Range, "rows_per_second", &r.Rate)
		widen(t.Range, "seconds", r.Seconds)
		widen(t.Range, "wait_p50_ms", r.Wait.P50)
		widen(t.Range, "wait_p99_ms", r.Wait.P99)
		widen(t.Range, "wait_max_ms", r.Wait.Max)
		widen(t.Range, "fairness", r.Fairness)
		lost := float64(r.Lost)
		widen(t.Range, "lost", &lost)
		unaccounted := float64(r.Unaccounted)
		widen(t.Range, "unaccounted", &unaccounted)
		t.Stopped = t.Stopped || r.Stopped
	}
	return t
}

func widen(ranges map[string][2]float64, key string, v *float64) {
	if v == nil {
		return
	}
	r, ok := ranges[key]
	if !ok {
		r = [2]float64{math.Inf(1), math.Inf(-1)}
	}
	ranges[key] = [2]float64{min(r[0], *v), max(r[1], *v)}
}
