package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// document is the report for a program. Its keys are a contract: they are
// documented in the command's manual and tested by a golden file.
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
	PerProcess     rangeDoc              `json:"per_process"`
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

type rangeDoc struct {
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

// JSON writes the report as one document.
func (r Report) JSON(w io.Writer) error {
	d := document{About: r.About, Interrupted: r.Interrupted, Trials: []trialDoc{}, Findings: append([]string{}, Findings(r.Trials)...)}
	if a, ok := Recommend(r.Trials); ok {
		d.Findings = append(d.Findings, "Recommendation. "+a.Text+" Check it: "+r.checkCommand(a))
	}
	for _, t := range r.Trials {
		d.Trials = append(d.Trials, t.document())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

func (t Trial) document() trialDoc {
	d := trialDoc{
		Strategy: t.Strategy, Processes: t.Processes, PerTransaction: t.PerTransaction,
		Task: milliseconds(t.Task.Seconds()), BusyTimeout: milliseconds(t.BusyTimeout.Seconds()), Journal: t.Journal, Sync: t.Sync,
		Asked: t.Asked, Stored: t.Stored, Lost: t.Lost, Unaccounted: t.Unaccounted, Errors: map[string]int{},
		Seconds: rounded(t.Seconds), Published: rounded(t.Published), Rate: round(t.Rate),
		Wait:       waitDoc{rounded(t.Wait.P50), rounded(t.Wait.P99), rounded(t.Wait.Max)},
		PerProcess: rangeDoc{t.MinRows, t.MaxRows}, Fairness: rounded(t.Fairness),
		Held: milliseconds(t.HeldSeconds), Holders: []holderDoc{}, Repeat: t.Repeat, Range: map[string][2]float64{},
	}
	if t.For == 0 {
		d.Rows = &t.Rows
	}
	for code, n := range t.Errors {
		d.Errors[strconv.Itoa(code)] = n
	}
	for _, h := range t.Holders {
		d.Holders = append(d.Holders, holderDoc{h.Process, h.PID, h.Holds, milliseconds(h.Held.Seconds()), milliseconds(h.Longest.Seconds())})
	}
	for key, r := range t.Range {
		d.Range[key] = [2]float64{round(r[0]), round(r[1])}
	}
	return d
}

func milliseconds(seconds float64) float64 { return round(1000 * seconds) }

// round keeps microseconds of milliseconds; more digits would be noise.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

func rounded(f *float64) *float64 {
	if f == nil {
		return nil
	}
	r := round(*f)
	return &r
}

// Markdown writes a table for each size, then the findings.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	first, rest := r.splitIntroduction()
	for i, groups := range [][]group{groupBySize(first), groupBySize(rest)} {
		for _, g := range groups {
			title := capitalize(g.Setting.Size())
			if i == 0 {
				title = "Introduction: " + g.Setting.Size()
			}
			fmt.Fprintf(&b, "## %s\n\n", title)
			if line := conditions(g); line != "" {
				fmt.Fprintf(&b, "%s\n\n", line)
			}
			fmt.Fprintf(&b, "%s\n\n", markdownTable(g.trials))
		}
	}
	if r.Interrupted {
		b.WriteString("**Interrupted**: this is what was measured until then.\n\n")
	}
	if s := Findings(r.Trials); len(s) > 0 {
		b.WriteString("## What this run shows\n\n")
		for _, line := range s {
			fmt.Fprintf(&b, "- %s\n", line)
		}
		b.WriteString("\n")
	}
	if a, ok := Recommend(r.Trials); ok {
		fmt.Fprintf(&b, "## Recommendation\n\n%s\n\n```\n%s\n```\n\n", a.Text, r.checkCommand(a))
	}
	if r.AboutLine != "" {
		fmt.Fprintf(&b, "%s\n", r.AboutLine)
	}
	if r.Warning != "" {
		fmt.Fprintf(&b, "\n**Warning:** %s\n", r.Warning)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func markdownTable(trials []Trial) string {
	w := table.NewWriter()
	w.AppendHeader(table.Row{
		"strategy", "stored/asked", "BUSY", "seconds", "rows/s", "wait p50 ms", "wait p99 ms", "max wait ms",
		"rows/process", "Jain", "lock held",
	})
	w.SetColumnConfigs(alignRight(2, 11))
	for _, t := range trials {
		held := "-"
		if s := valueOf(t.Seconds); s > 0 {
			held = fmt.Sprintf("%.0f %%", 100*t.HeldSeconds/s)
		}
		w.AppendRow(table.Row{
			t.Strategy, fmt.Sprintf("%d/%d", t.Stored, t.Asked), t.BusyCount(), optionalFigure(t.Seconds), figure(t.Rate),
			optionalFigure(t.Wait.P50), optionalFigure(t.Wait.P99), optionalFigure(t.Wait.Max),
			fmt.Sprintf("%d-%d", t.MinRows, t.MaxRows), jainText(t.Fairness), held,
		})
	}
	return w.RenderMarkdown()
}

func jainText(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *f)
}

// CSV writes every figure, one line a trial.
func (r Report) CSV(w io.Writer) error {
	out := table.NewWriter()
	out.Style().Format.Header = text.FormatDefault
	out.AppendHeader(table.Row{
		"strategy", "processes", "rows_per_process", "rows_per_transaction", "task_ms", "busy_timeout_ms",
		"journal_mode", "synchronous", "asked", "stored", "lost", "unaccounted", "errors", "seconds", "published_seconds",
		"rows_per_second", "wait_p50_ms", "wait_p99_ms", "wait_max_ms", "per_process_min", "per_process_max", "fairness",
		"lock_held_ms", "repeat", "rows_per_second_min", "rows_per_second_max",
	})
	for _, t := range r.Trials {
		d := t.document()
		least, most := d.Rate, d.Rate
		if r, ok := d.Range["rows_per_second"]; ok {
			least, most = r[0], r[1]
		}
		rows := ""
		if d.Rows != nil {
			rows = strconv.Itoa(*d.Rows)
		}
		out.AppendRow(table.Row{
			d.Strategy, d.Processes, rows, d.PerTransaction, csvNumber(&d.Task), csvNumber(&d.BusyTimeout),
			d.Journal, d.Sync, d.Asked, d.Stored, d.Lost, d.Unaccounted, csvErrors(d.Errors), csvNumber(d.Seconds), csvNumber(d.Published),
			csvNumber(&d.Rate), csvNumber(d.Wait.P50), csvNumber(d.Wait.P99), csvNumber(d.Wait.Max), d.PerProcess.Min, d.PerProcess.Max,
			csvNumber(d.Fairness), csvNumber(&d.Held), d.Repeat, csvNumber(&least), csvNumber(&most),
		})
	}
	_, err := io.WriteString(w, out.RenderCSV()+"\n")
	return err
}

// csvNumber formats a number for a program; nil is an empty field.
func csvNumber(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

// csvErrors is "5:3 517:1": code and attempts.
func csvErrors(errors map[string]int) string {
	var l []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		l = append(l, fmt.Sprintf("%s:%d", code, errors[code]))
	}
	return strings.Join(l, " ")
}
