package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// InconsistentError is returned for a result or a recording that no run can have
// written: somebody changed it, or another program made it.
type InconsistentError struct {
	Place string // "trial 2 (direct)", "lane P1"
	Err   error
}

func (e *InconsistentError) Error() string { return fmt.Sprintf("%s: %v", e.Place, e.Err) }

// Unwrap returns what is wrong there.
func (e *InconsistentError) Unwrap() error { return e.Err }

// LongestTime bounds the times of a setting and of a document: no run takes ten years.
const LongestTime = 10 * 365 * 24 * time.Hour

// later adds a difference to a time, both in microseconds since the start of the run.
func later(at, difference int64) (int64, error) {
	if difference < -at || difference > LongestTime.Microseconds()-at {
		return 0, fmt.Errorf("%d µs and %d more is no time of a run", at, difference)
	}
	return at + difference, nil
}

// check holds what the report relies on; number counts the trials from 1.
func (d trialDoc) check(number int) error {
	wrong := func(format string, values ...any) error {
		return &InconsistentError{fmt.Sprintf("trial %d (%s)", number, d.Strategy), fmt.Errorf(format, values...)}
	}
	for _, set := range []struct {
		key string
		ms  float64
	}{{"for_ms", valueOf(d.For)}, {"task_ms", d.Task}, {"busy_timeout_ms", d.BusyTimeout}, {"deadline_ms", valueOf(d.Deadline)}} {
		if set.ms < 0 || set.ms > float64(LongestTime.Milliseconds()) {
			return wrong("%s is %v", set.key, set.ms)
		}
	}
	if valueOf(d.Offered) < 0 {
		return wrong("offered_rows_per_second is %v", *d.Offered)
	}
	if d.Processes < 1 {
		return wrong("processes is %d", d.Processes)
	}
	if d.Wait.Max == nil && (d.Wait.P50 != nil || d.Wait.P99 != nil) {
		return wrong("wait_ms has percentiles and no max")
	}
	if d.Wait.Max != nil && len(d.Processed) == 0 {
		return wrong("wait_ms has a max, and process_results has no process")
	}
	if want := d.rowRange(); d.PerProcess != want {
		return wrong("per_process is %d to %d, and the rows in process_results are %d to %d",
			d.PerProcess.Min, d.PerProcess.Max, want.Min, want.Max)
	}
	return nil
}

// rowRange returns the least and the most rows of a process.
func (d trialDoc) rowRange() rangeDoc {
	if len(d.Processed) == 0 {
		return rangeDoc{}
	}
	byRows := func(a, b processDoc) int { return cmp.Compare(a.Rows, b.Rows) }
	return rangeDoc{slices.MinFunc(d.Processed, byRows).Rows, slices.MaxFunc(d.Processed, byRows).Rows}
}
