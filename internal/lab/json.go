package lab

// The report for a program: one JSON document. Its keys are a contract, they
// are documented in Formats and tested by a golden file.

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
)

type document struct {
	About       any        `json:"about"`
	Interrupted bool       `json:"interrupted"`
	Trials      []trialDoc `json:"trials"`
	Findings    []string   `json:"findings"`
}

type trialDoc struct {
	Strategy       string                `json:"strategy"`
	Processes      int                   `json:"processes"`
	Rows           *int                  `json:"rows_per_process"`
	PerTransaction int                   `json:"rows_per_transaction"`
	Task           float64               `json:"task_ms"`
	BusyTimeout    float64               `json:"busy_timeout_ms"`
	Journal        string                `json:"journal_mode"`
	Sync           string                `json:"synchronous"`
	Asked          int                   `json:"asked"`
	Stored         int                   `json:"stored"`
	Lost           int                   `json:"lost"`
	Unaccounted    int                   `json:"unaccounted"`
	Errors         map[string]int        `json:"errors"`
	Seconds        *float64              `json:"seconds"`
	Published      *float64              `json:"published_seconds"`
	Rate           float64               `json:"rows_per_second"`
	Wait           waitDoc               `json:"wait_ms"`
	PerProcess     minMax                `json:"per_process"`
	Fairness       *float64              `json:"fairness"`
	Held           float64               `json:"lock_held_ms"`
	Holders        []holderDoc           `json:"holders"`
	Repeat         int                   `json:"repeat"`
	Range          map[string][2]float64 `json:"range"`
}

type waitDoc struct {
	P50 *float64 `json:"p50"`
	P99 *float64 `json:"p99"`
	Max *float64 `json:"max"`
}

type minMax struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

type holderDoc struct {
	Process string  `json:"process"`
	PID     int     `json:"pid"`
	Holds   int     `json:"holds"`
	Held    float64 `json:"held_ms"`
	Longest float64 `json:"longest_ms"`
}

// Formats documents what a program gets.
const Formats = `JSON (--format json): one document,
  {"about":{},"interrupted":false,"trials":[],"findings":[]}
with one object a trial, in the order task, processes, strategy as typed:
  strategy, processes, rows_per_process (null with --for), rows_per_transaction, task_ms,
  busy_timeout_ms, journal_mode, synchronous: what was asked for
  asked, stored (counted in the database), lost (given up, or owned by a process that died),
  unaccounted (asked - stored - lost; anything but 0 is exit status 1): rows
  errors: attempts by SQLite's extended result code, {} if there were none
  seconds: from the start barrier to the last row in the table
  published_seconds: to the last row on the queue's disk, null without a queue
  rows_per_second: stored rows by seconds
  wait_ms {p50, p99, max}: from the moment a row is ready to its end, less the task; p99 is null
  under 100 samples
  per_process {min, max}: rows of the poorest and the richest process, with --rows when the first
  of them was done; fairness: Jain's index of the same (1: even, 1/n: one has all)
  lock_held_ms: how long the lock was held, all holders together; holders: [{process, pid, holds,
  held_ms, longest_ms}], the one who held it longest first
  repeat: how often the trial ran; the figures are those of the run with the median
  rows_per_second, range has the [least, most] of all runs, {} for one run
CSV has one line a trial, Markdown a table a size. Findings and the recommendation are sentences.`

// JSON writes the report as one document.
func (r Report) JSON(w io.Writer) error {
	d := document{About: r.About, Interrupted: r.Interrupted, Trials: []trialDoc{}, Findings: r.sentences()}
	for _, t := range r.Trials {
		d.Trials = append(d.Trials, t.document())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// sentences are the findings with the recommendation as the last.
func (r Report) sentences() []string {
	s := append([]string{}, Findings(r.Trials)...)
	if a, ok := Recommend(r.Trials); ok {
		s = append(s, "Recommendation. "+a.Text+" Check it: "+a.Command)
	}
	return s
}

func (t Trial) document() trialDoc {
	d := trialDoc{
		Strategy: t.Strategy, Processes: t.Processes, PerTransaction: t.PerTransaction,
		Task: milli(t.Task.Seconds()), BusyTimeout: milli(t.BusyTimeout.Seconds()), Journal: t.Journal, Sync: t.Sync,
		Asked: t.Asked, Stored: t.Stored, Lost: t.Lost, Unaccounted: t.Unaccounted, Errors: map[string]int{},
		Seconds: rounded(t.Seconds), Published: rounded(t.Published), Rate: round(t.Rate),
		Wait:       waitDoc{rounded(t.Wait.P50), rounded(t.Wait.P99), rounded(t.Wait.Max)},
		PerProcess: minMax{t.Poorest, t.Richest}, Fairness: rounded(t.Fairness),
		Held: milli(t.HeldSeconds), Holders: []holderDoc{}, Repeat: t.Repeat, Range: map[string][2]float64{},
	}
	if t.For == 0 {
		d.Rows = &t.Rows
	}
	for code, n := range t.Errors {
		d.Errors[strconv.Itoa(code)] = n
	}
	for _, h := range t.Holders {
		d.Holders = append(d.Holders, holderDoc{h.Process, h.PID, h.Holds, milli(h.Held.Seconds()), milli(h.Longest.Seconds())})
	}
	for key, r := range t.Range {
		d.Range[key] = [2]float64{round(r[0]), round(r[1])}
	}
	return d
}

func milli(seconds float64) float64 { return round(1000 * seconds) }

// round keeps microseconds of milliseconds; more digits would be noise.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

func rounded(f *float64) *float64 {
	if f == nil {
		return nil
	}
	r := round(*f)
	return &r
}
