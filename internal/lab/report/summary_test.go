package report

import (
	"strings"
	"testing"
	"time"
)

func lost(t *Trial) {
	t.Introduction, t.Task, t.BusyTimeout = true, 300*ms, 500*ms
	t.Processes, t.Rows, t.Asked, t.Stored, t.Lost = 3, 2, 6, 4, 2
	t.Errors = map[int]int{5: 2}
	t.Processed = []ProcessResult{{"P1", 1, 1, 508}, {"P2", 2, 0, 1}, {"P3", 1, 1, 507}}
	t.Busy = []BusyWait{
		{Process: "P1", Row: 1, Code: 5, Waited: 508 * ms, Holders: []HeldMeanwhile{{"P2", 506 * ms, 2}}, Free: 2 * ms},
		{Process: "P3", Row: 1, Code: 5, Waited: 507 * ms, Holders: []HeldMeanwhile{{"P2", 505 * ms, 2}}, Free: 2 * ms},
	}
	t.LockWait = LockWait{Total: 1600 * ms, Contended: 906 * ms}
	t.Seconds = ptr(1.2)
}

func TestHeadline(t *testing.T) {
	for _, test := range []struct {
		name   string
		trials []Trial
		want   string
	}{
		{"nothing", nil, ""},
		{"rows lost", []Trial{made("direct", 50, lost), made("queued", 90)}, "Two of six rows were lost: while P2 held the lock, P1 and P3 gave up after 0.50 s."},
		{"one of many", []Trial{made("direct", 50, busyOnce), made("queued", 90)}, "With direct, one of 40 rows was lost: while P1 held the lock, P2 gave up after 5.0 s."},
		{"a long wait", []Trial{made("direct", 50, starved), made("queued", 90)}, "With direct, all 40 rows are stored, but P2 waited 0.83 s for one of its rows."},
		{"one trial", []Trial{made("queued", 90)}, "All 40 rows are stored, and none waited longer than 8.2 ms."},
		{"sizes", []Trial{made("wal", 50, worst(900)), made("wal", 50, processes(8))}, "With wal and 4 processes, all 40 rows are stored, but P2 waited 0.90 s for one of its rows."},
		{"no timeout", []Trial{made("no-timeout", 50, lost, func(t *Trial) { t.BusyTimeout = 0 })}, "Two of six rows were lost: while P2 held the lock, P1 and P3 gave up at once."},
	} {
		if got := (Report{Trials: test.trials}).Summary().Headline; got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestCaption(t *testing.T) {
	for _, test := range []struct {
		trial Trial
		want  string
	}{
		{made("direct", 50, lost), "Only one process can hold the lock at a time: for 0.91 s of 1.2 s it was held while others waited. " +
			"P1 and P3 gave up after 0.50 s, where SQLite answered \"database is locked\" (the crosses; each goes on with its next row), so 2 of 6 rows are missing."},
		{made("short", 50), "Only one process can hold the lock, but each holds it so briefly that hardly anybody waits. " +
			"All 40 rows are stored, and none waited longer than 8.2 ms."},
		{made("direct", 50, starved, func(t *Trial) { t.LockWait.Contended = 500 * ms }), "Only one process can hold the lock at a time: for 0.50 s of 0.80 s it was held while others waited. " +
			"The lock has no waiting line: when the first process was done, one had stored 10 rows and another 0."},
		{made("wal", 50, starved, func(t *Trial) { t.Rows, t.For = 0, time.Second }), "Only one process can hold the lock at a time. " +
			"The lock has no waiting line: when time was up, one had stored 10 rows and another 0."},
		{made("confirmed", 90), "The processes hand their rows to a queue and only the writer opens the database, so none of them waits for its lock. " +
			"All 40 rows are stored, and none waited longer than 8.2 ms."},
		{made("turns", 90), "Each process waits for its turn outside of SQLite, in order, so that it finds the lock free when it asks. " +
			"All 40 rows are stored, and none waited longer than 8.2 ms."},
	} {
		if got := (Report{Trials: []Trial{test.trial}}).Summary().Captions[0]; got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.trial.Strategy, got, test.want)
		}
	}
}

func TestQuestion(t *testing.T) {
	intro := made("direct", 50, lost)
	for _, test := range []struct {
		name   string
		report Report
		text   string // a part of it
		answer string // "" if nothing is asked
	}{
		{"nothing", Report{}, "", ""},
		{"introduction", Report{Trials: []Trial{intro, made("queued", 90)}}, "Three processes write 2 rows each", "4"},
		{"one trial", Report{Trials: []Trial{made("direct", 50)}}, "has 20 ms of work to do for each row, between INSERT and COMMIT", "40"},
		{"strategies", Report{Trials: []Trial{made("direct", 50), made("queued", 90)}}, "stores the most rows a second?", "queued"},
		{"one trial for a time", Report{Trials: []Trial{made("direct", 50, func(t *Trial) { t.Rows, t.For = 0, time.Second })}}, "", ""},
		{"interrupted", Report{Trials: []Trial{intro}, Interrupted: true}, "", ""},
	} {
		q := test.report.Question()
		switch {
		case q == nil && test.answer == "":
		case q == nil || q.Answer != test.answer || !strings.Contains(q.Text, test.text):
			t.Errorf("%s: %+v", test.name, q)
		}
	}
}
