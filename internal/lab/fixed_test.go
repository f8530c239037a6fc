package lab

// Fixed measurements, for tests of what is said about them.

import (
	"fmt"
	"maps"
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
		Setting: s, Journal: find(strategy).Journal, Asked: 40, Stored: 40, Errors: map[int]int{},
		Seconds: ptr(40 / rate), Rate: rate, Wait: Waits{P50: ptr(1.2), Max: ptr(8.25), Samples: 40, Worst: "P2"},
		Poorest: 9, Richest: 10, Fairness: ptr(0.998), Repeat: 1, Range: map[string][2]float64{},
		Shares: []Share{{"P1", 10, 0, 3}, {"P2", 9, 0, 8.25}, {"P3", 10, 0, 4}, {"P4", 10, 0, 5}},
	}
	for _, b := range bend {
		b(&t)
	}
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
	t.Poorest, t.Richest = 0, 10
	t.Shares = []Share{{"P1", 10, 0, 3}, {"P2", 0, 0, 835}, {"P3", 4, 0, 4}, {"P4", 2, 0, 5}}
	t.Wait.Max, t.Fairness = ptr(835), ptr(0.53)
}

func lockedOutOnce(t *Trial) {
	t.Stored, t.Lost, t.Errors = 39, 1, map[int]int{5: 1}
	t.Shares[1].Refused = 1
	t.Lockouts = []Lockout{{
		Process: "P2", Row: 3, Code: 5, Waited: 5003 * ms, By: []Blame{{"P1", 4100 * ms, 12}, {"P3", 800 * ms, 1}},
	}}
}

// originalAccounts is the original experiment at a tenth of its times, as its
// processes write it down.
func originalAccounts() []account {
	return []account{
		{Name: "P1", Process: 1, PID: 101, Ended: true, Taken: 2, EndAt: 606 * ms, Records: []Record{
			{Rows: 1, Want: 0, Got: 2 * ms, Task: 300 * ms, End: 303 * ms},
			{First: 1, Rows: 1, Ready: 303 * ms, Want: 303 * ms, Got: 304 * ms, Task: 300 * ms, End: 606 * ms},
		}},
		{Name: "P2", Process: 2, PID: 102, Ended: true, Taken: 2, EndAt: 920 * ms, Records: []Record{
			{Rows: 1, Want: 0, Got: -1, End: 503 * ms, Code: 5},
			{First: 1, Rows: 1, Ready: 503 * ms, Want: 503 * ms, Got: 618 * ms, Task: 300 * ms, End: 920 * ms},
		}},
		{Name: "P3", Process: 3, PID: 103, Ended: true, Taken: 2, EndAt: 1250 * ms, Records: []Record{
			{Rows: 1, Want: 1 * ms, Got: -1, End: 504 * ms, Code: 5},
			{First: 1, Rows: 1, Ready: 504 * ms, Want: 504 * ms, Got: 948 * ms, Task: 300 * ms, End: 1250 * ms},
		}},
	}
}

func original(task time.Duration) Setting {
	return Setting{
		Strategy: "direct", Processes: 3, Rows: 2, Task: task, PerTransaction: 1, BusyTimeout: 500 * ms, Sync: "full", Original: true,
	}
}

// fixedReport has something of everything that a report may show.
func fixedReport() Report {
	quick := []account{}
	for p := 1; p <= 3; p++ {
		at := time.Duration(p) * ms
		quick = append(quick, account{Name: fmt.Sprint("P", p), Process: p, PID: 100 + p, Ended: true, Taken: 2, EndAt: 10 * ms, Records: []Record{
			{Rows: 1, Got: at, End: at + 2*ms},
			{First: 1, Rows: 1, Ready: at + 2*ms, Want: at + 2*ms, Got: at + 3*ms, End: at + 6*ms},
		}})
	}
	all := tableRows{1: {0: true, 1: true}, 2: {0: true, 1: true}, 3: {0: true, 1: true}}
	some := tableRows{1: {0: true, 1: true}, 2: {1: true}, 3: {1: true}}
	return Report{
		About:     map[string]any{"os": "linux"},
		AboutLine: "linux/amd64, 2 CPUs, ext4 (fsync 0.20 ms), go1.26.8, SQLite 3.54.1, NATS 2.15.2",
		Trials: []Trial{
			measure(original(0), quick, nil, all, false),
			measure(original(300*ms), originalAccounts(), nil, some, false),
			made("direct", 38.2, starved, func(t *Trial) { t.HeldSeconds = 0.95; t.Holders = []Holder{{"P1", 101, 10, 240 * ms, 31 * ms}} }),
			made("consumers", 35.5, worst(412), lockedOutOnce),
			made("short", 168.4, repeated(150, 190)),
			made("queued", 171, repeated(140, 200), func(t *Trial) { t.Published = ptr(0.229); t.Poorest = 10 }),
			made("confirmed", 160.25, func(t *Trial) { t.Wait.P99 = ptr(7.5) }),
		},
	}
}
