package report

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"
)

type parsedTrace struct {
	Unit   string       `json:"displayTimeUnit"`
	Events []traceEvent `json:"traceEvents"`
}

func parseTrace(t *testing.T, recordings ...*Recording) parsedTrace {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTrace(&b, recordings); err != nil {
		t.Fatal(err)
	}
	var p parsedTrace
	if err := json.Unmarshal(b.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTraceIsWellFormed: slices of a thread nest, and each end of a flow arrow
// lies inside a slice of its thread.
func TestTraceIsWellFormed(t *testing.T) {
	r := fixedReport()
	watch := fixedRecording()
	offered := Recording{Lanes: []Lane{{Process: "P1", WaitsFor: WaitsForLock, Events: []Event{
		{Rows: 1, Ready: 0, Wants: 30 * ms, Begun: 40 * ms, Released: 50 * ms, End: 50 * ms, Task: 30 * ms},
		{First: 1, Rows: 1, Ready: 10 * ms, Wants: 80 * ms, Begun: 90 * ms, Released: 95 * ms, End: 96 * ms, Task: 30 * ms}, // due earlier
	}}}}
	p := parseTrace(t, r.Trials[0].Recording, r.Trials[1].Recording, &watch, &offered)
	type thread struct{ pid, tid int }
	slicesOf := map[thread][]traceEvent{}
	flows := map[int][]traceEvent{}
	for _, e := range p.Events {
		switch e.Phase {
		case "X":
			slicesOf[thread{e.PID, e.TID}] = append(slicesOf[thread{e.PID, e.TID}], e)
		case "s", "f":
			flows[e.ID] = append(flows[e.ID], e)
		}
	}
	for id, list := range slicesOf {
		slices.SortStableFunc(list, func(a, b traceEvent) int {
			if a.At != b.At {
				return int(math.Copysign(1, a.At-b.At))
			}
			return int(math.Copysign(1, *b.Duration-*a.Duration))
		})
		var open []float64
		for _, s := range list {
			for len(open) > 0 && open[len(open)-1] <= s.At {
				open = open[:len(open)-1]
			}
			if len(open) > 0 && s.At+*s.Duration > open[len(open)-1] {
				t.Errorf("thread %v: %s at %v does not end before the slice around it", id, s.Name, s.At)
			}
			open = append(open, s.At+*s.Duration)
		}
	}
	for id, ends := range flows {
		if len(ends) != 2 || ends[0].Phase != "s" || ends[1].Phase != "f" || ends[0].At > ends[1].At {
			t.Errorf("flow %d is %+v", id, ends)
		}
		for _, e := range ends {
			if !slices.ContainsFunc(slicesOf[thread{e.PID, e.TID}], func(s traceEvent) bool {
				return s.Name == SliceHold && s.At <= e.At && e.At < s.At+*s.Duration
			}) {
				t.Errorf("flow %d: no hold around its end at %v", id, e.At)
			}
		}
	}
	// P1 hands the lock over to P2, which waited for its second row, and P2 to P3.
	if len(flows) < 2 {
		t.Errorf("%d flows", len(flows))
	}
}

// TestTraceAddsUpToTheReport: hold times and lock waits are the report's.
func TestTraceAddsUpToTheReport(t *testing.T) {
	trial := fixedReport().Trials[1]
	var held, waited time.Duration
	marks := 0
	for _, e := range parseTrace(t, trial.Recording).Events {
		switch {
		case e.Phase == "X" && e.Name == SliceHold:
			held += time.Duration(*e.Duration * float64(time.Microsecond))
		case e.Phase == "X" && e.Name == "waits for the lock":
			waited += time.Duration(*e.Duration * float64(time.Microsecond))
		case e.Phase == "i":
			marks++
		}
	}
	if math.Abs(held.Seconds()-trial.HeldSeconds) > 1e-9 || waited != trial.LockWait.Total || marks != trial.BusyCount() {
		t.Errorf("trace: held %s, waited %s, %d marks; report: held %v s, waited %s, %d times SQLITE_BUSY",
			held, waited, marks, trial.HeldSeconds, trial.LockWait.Total, trial.BusyCount())
	}
}
