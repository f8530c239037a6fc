package lab

// The report as Markdown, for a page, and as CSV, for a spreadsheet.

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Markdown writes a table a size, then the findings.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	original, rest := r.parts()
	for i, gs := range [][]group{groups(original), groups(rest)} {
		for _, g := range gs {
			title := capital(g.Setting.size())
			if i == 0 {
				title = "The original experiment at a tenth of its times: " + g.Setting.size()
			}
			fmt.Fprintf(&b, "## %s\n\n", title)
			if line := conditions(g.Setting); line != "" {
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
		fmt.Fprintf(&b, "## Recommendation\n\n%s\n\n```\n%s\n```\n\n", a.Text, a.Command)
	}
	if r.AboutLine != "" {
		fmt.Fprintf(&b, "%s\n", r.AboutLine)
	}
	if r.Warning != "" {
		fmt.Fprintf(&b, "\n**Mind:** %s\n", r.Warning)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func markdownTable(trials []Trial) string {
	w := table.NewWriter()
	w.AppendHeader(table.Row{
		"strategy", "stored/asked", "locked out", "seconds", "rows/s", "wait p50 ms", "p99 ms", "worst ms",
		"poorest-richest", "Jain", "lock held",
	})
	w.SetColumnConfigs(right(2, 11))
	for _, t := range trials {
		held := "-"
		if s := value(t.Seconds); s > 0 {
			held = fmt.Sprintf("%.0f %%", 100*t.HeldSeconds/s)
		}
		w.AppendRow(table.Row{
			t.Strategy, fmt.Sprintf("%d/%d", t.Stored, t.Asked), t.LockedOut(), optional(t.Seconds), figure(t.Rate),
			optional(t.Wait.P50), optional(t.Wait.P99), optional(t.Wait.Max),
			fmt.Sprintf("%d-%d", t.Poorest, t.Richest), index(t.Fairness), held,
		})
	}
	return w.RenderMarkdown()
}

func index(f *float64) string {
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
			d.Strategy, d.Processes, rows, d.PerTransaction, plain(&d.Task), plain(&d.BusyTimeout),
			d.Journal, d.Sync, d.Asked, d.Stored, d.Lost, d.Unaccounted, errorList(d.Errors), plain(d.Seconds), plain(d.Published),
			plain(&d.Rate), plain(d.Wait.P50), plain(d.Wait.P99), plain(d.Wait.Max), d.PerProcess.Min, d.PerProcess.Max, plain(d.Fairness),
			plain(&d.Held), d.Repeat, plain(&least), plain(&most),
		})
	}
	_, err := io.WriteString(w, out.RenderCSV()+"\n")
	return err
}

// plain is a number for a program to read; nothing is an empty field.
func plain(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

// errorList is "5:3 517:1": code and attempts.
func errorList(errors map[string]int) string {
	var l []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		l = append(l, fmt.Sprintf("%s:%d", code, errors[code]))
	}
	return strings.Join(l, " ")
}
