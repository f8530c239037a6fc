package web

// When each line was read, queued and stored; and rates.

import "time"

const (
	maxLineSources = 64
	maxLineTimes   = 4096 // for each source and step: seven minutes at full speed
)

// A lineStep is a step on the way of a row.
type lineStep int

const (
	lineRead lineStep = iota
	lineQueued
	lineStored
	lineSteps
)

// A lineTimes says when the lines of each source took each step.
type lineTimes map[string]*[lineSteps][]lineTime

// A lineTime says that the lines from first to last took a step by a time, in
// milliseconds since 1970; 0 if it was before the page opened.
type lineTime struct {
	first, last int64
	at          int64
}

// note notes that the lines from first to last have taken a step. For a step in the
// order of the lines, first is 1. exact is false if they may have taken it earlier.
func (l lineTimes) note(source string, step lineStep, first, last int64, now time.Time, exact bool) {
	steps, ok := l[source]
	if !ok {
		if len(l) >= maxLineSources {
			return
		}
		steps = new([lineSteps][]lineTime)
		l[source] = steps
	}
	times := steps[step]
	if n := len(times); n > 0 && times[n-1].first == first && times[n-1].last >= last {
		return
	}
	t := lineTime{first, last, 0}
	if exact {
		t.at = now.UnixMilli()
	}
	times = append(times, t)
	if len(times) > maxLineTimes {
		times = append([]lineTime{}, times[len(times)-maxLineTimes/2:]...)
		// What was there before is not known any more.
		times[0] = lineTime{1, times[0].last, 0}
	}
	steps[step] = times
}

// when returns when a line took a step, in milliseconds since 1970, or 0.
func (l lineTimes) when(source string, step lineStep, line int64) int64 {
	steps, ok := l[source]
	if !ok {
		return 0
	}
	for _, t := range steps[step] {
		if t.first <= line && line <= t.last {
			return t.at
		}
	}
	return 0
}

// A rateOf is the rate of a counter over the last seconds.
type rateOf struct {
	last    float64
	samples []rateSample // oldest first; the first may be older than the window
}

type rateSample struct {
	at    time.Time
	value float64
}

func (r *rateOf) add(now time.Time, value float64) {
	if len(r.samples) == 0 { // a summary covers a tenth of a second
		r.samples = append(r.samples, rateSample{now.Add(-100 * time.Millisecond), r.last})
	}
	r.last = value
	r.samples = append(r.samples, rateSample{now, value})
}

// at returns the rate a second.
func (r *rateOf) at(now time.Time) float64 {
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) > rateWindow {
		r.samples = r.samples[1:]
	}
	if len(r.samples) < 2 {
		return 0
	}
	from := r.samples[0]
	return (r.last - from.value) / max(0.1, min(now.Sub(from.at), rateWindow).Seconds())
}
