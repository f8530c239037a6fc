package report

// Fixed measurements, for tests of what is said about them.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const ms = time.Millisecond

func ptr(f float64) *float64 { return &f }

// made is a trial of four processes that went well, to be bent by a test.
func made(strategy string, rate float64, bend ...func(*Trial)) Trial {
	s := Setting{
		Strategy: strategy, Processes: 4, Rows: 10, Task: 20 * ms, PerTransaction: 1,
		BusyTimeout: 5 * time.Second, Sync: "full",
	}
	t := Trial{
		Setting: s, Journal: Find(strategy).Journal, Asked: 40, Stored: 40, Errors: map[int]int{},
		Seconds: ptr(40 / rate), Rate: rate, Wait: WaitStats{P50: ptr(1.2), Max: ptr(8.25), Samples: 40, Worst: "P2"},
		MinRows: 9, MaxRows: 10, Fairness: ptr(0.998), Repeat: 1, Range: map[string][2]float64{},
		Processed: []ProcessResult{{"P1", 10, 0, 3}, {"P2", 9, 0, 8.25}, {"P3", 10, 0, 4}, {"P4", 10, 0, 5}},
	}
	for _, b := range bend {
		b(&t)
	}
	t.round()
	return t
}

func noTask(t *Trial) { t.Task = 0 }

func processes(n int) func(*Trial) { return func(t *Trial) { t.Processes = n } }

func worst(millis float64) func(*Trial) { return func(t *Trial) { t.Wait.Max = ptr(millis) } }

func repeated(least, most float64) func(*Trial) {
	return func(t *Trial) {
		t.Repeat = 5
		t.Range = maps.Clone(t.Range)
		t.Range["rows_per_second"] = [2]float64{least, most}
		t.Range["wait_max_ms"] = [2]float64{5, 9}
	}
}

func starved(t *Trial) {
	t.MinRows, t.MaxRows = 0, 10
	t.Processed = []ProcessResult{{"P1", 10, 0, 3}, {"P2", 0, 0, 835}, {"P3", 4, 0, 4}, {"P4", 2, 0, 5}}
	t.Wait.Max, t.Fairness = ptr(835), ptr(0.53)
}

func busyOnce(t *Trial) {
	t.Stored, t.Lost, t.Errors = 39, 1, map[int]int{5: 1}
	t.Processed[1].Busy = 1
	t.Busy = []BusyWait{{
		Process: "P2", Row: 3, Code: 5, Waited: 5003 * ms, Holders: []HeldMeanwhile{{"P1", 4100 * ms, 12}, {"P3", 800 * ms, 1}},
	}}
}

// introductionRecordings is the introduction, as its processes record it.
func introductionRecordings() []recording {
	return []recording{
		{Trace: Trace{Process: "P1", Number: 1, PID: 101, Ended: true, Taken: 2, EndAt: 606 * ms}, list: []Event{
			{Rows: 1, Wants: 0, Begun: 2 * ms, Task: 300 * ms, Released: 302 * ms, End: 303 * ms},
			{First: 1, Rows: 1, Ready: 303 * ms, Wants: 303 * ms, Begun: 304 * ms, Task: 300 * ms, Released: 605 * ms, End: 606 * ms},
		}},
		{Trace: Trace{Process: "P2", Number: 2, PID: 102, Ended: true, Taken: 2, EndAt: 920 * ms}, list: []Event{
			{Rows: 1, Wants: 0, Begun: -1, Released: -1, End: 503 * ms, Code: 5},
			{First: 1, Rows: 1, Ready: 503 * ms, Wants: 503 * ms, Begun: 618 * ms, Task: 300 * ms, Released: 919 * ms, End: 920 * ms},
		}},
		{Trace: Trace{Process: "P3", Number: 3, PID: 103, Ended: true, Taken: 2, EndAt: 1250 * ms}, list: []Event{
			{Rows: 1, Wants: 1 * ms, Begun: -1, Released: -1, End: 504 * ms, Code: 5},
			{First: 1, Rows: 1, Ready: 504 * ms, Wants: 504 * ms, Begun: 948 * ms, Task: 300 * ms, Released: 1249 * ms, End: 1250 * ms},
		}},
	}
}

func introductionSetting(task time.Duration) Setting {
	return Setting{
		Strategy: "direct", Processes: 3, Rows: 2, Task: task, PerTransaction: 1, BusyTimeout: 500 * ms, Sync: "full", Introduction: true,
	}
}

// fixedReport has something of everything that a report may show.
func fixedReport() Report {
	quick := []recording{}
	for p := 1; p <= 3; p++ {
		at := time.Duration(p) * ms
		quick = append(quick, recording{Trace: Trace{Process: fmt.Sprint("P", p), Number: p, PID: 100 + p, Ended: true, Taken: 2, EndAt: 10 * ms}, list: []Event{
			{Rows: 1, Begun: at, Released: at + 2*ms, End: at + 2*ms},
			{First: 1, Rows: 1, Ready: at + 2*ms, Wants: at + 2*ms, Begun: at + 3*ms, Released: at + 6*ms, End: at + 6*ms},
		}})
	}
	all := StoredRows{1: {0b11}, 2: {0b11}, 3: {0b11}}
	some := StoredRows{1: {0b11}, 2: {0b10}, 3: {0b10}}
	return Report{
		Command: fixedCommand, MoreFindings: "-v shows them",
		About:     map[string]any{"os": "linux"},
		AboutLine: "linux/amd64, 2 CPUs, ext4 (fsync 0.20 ms), go1.26.8, SQLite 3.54.1, NATS 2.15.2",
		Trials: []Trial{
			Measure(introductionSetting(0), traces(quick...), nil, all, false),
			Measure(introductionSetting(300*ms), traces(introductionRecordings()...), nil, some, false),
			made("direct", 38.2, starved, func(t *Trial) { t.HeldSeconds = 0.95; t.Holders = []Holder{{"P1", 101, 10, 240 * ms, 31 * ms}} }),
			made("consumers", 35.5, worst(412), busyOnce),
			made("short", 168.4, repeated(150, 190)),
			made("turns", 38.5, worst(90)),
			made("queued", 171, repeated(140, 200), func(t *Trial) { t.Published = ptr(0.229); t.MinRows, t.Processed[1].Rows = 10, 10 }),
			made("confirmed", 160.25, func(t *Trial) { t.Wait.P99 = ptr(7.5) }),
		},
	}
}

// recording is a trace whose events a test may change.
type recording struct {
	Trace
	list []Event
}

func traces(recordings ...recording) []Trace {
	var ts []Trace
	for _, r := range recordings {
		r.Events = slices.Values(r.list)
		ts = append(ts, r.Trace)
	}
	return ts
}

func fixedCommand(a Advice) string {
	return fmt.Sprintf("go run ./contention --processes %d --rows %d --task %s --strategies %s --repeat 5",
		a.Setting.Processes, a.Setting.Rows, a.Setting.Task, strings.Join(a.Strategies, ","))
}
