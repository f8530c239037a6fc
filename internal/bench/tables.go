package main

// The tables of the report, one a kind of result.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

func (p *page) targets(targets []target) {
	var rows []table.Row
	for _, t := range targets {
		met := "-"
		if t.Met != nil {
			met = map[bool]string{true: "met", false: "NOT met"}[*t.Met]
		}
		rows = append(rows, table.Row{t.What, t.Goal, t.Measured, met, strings.TrimPrefix(t.Command, "go run ./internal/bench ")})
	}
	p.table(table.Row{"what", "target", "measured", "", "shown by"}, 5, rows)
}

func (p *page) comparison(c comparison) {
	var rows []table.Row
	for _, o := range c.Outcomes {
		ratio, stored := "1", "-"
		if o.Ratio != nil {
			ratio = o.Ratio.String()
		}
		if o.Stored != nil {
			stored = fmt.Sprintf("%.2f", o.Stored.Median)
		}
		database := "-"
		if o.Database > 0 {
			database = mebibytes(&o.Database)
		}
		peak := "-"
		if len(o.Processes) == 1 {
			peak = mebibytes(o.Processes[0].Peak)
		}
		rows = append(rows, table.Row{o.Name, o.Seconds, stored, fmt.Sprintf("%.2f", o.Rate/1e6), ratio, database, fmt.Sprintf("%.2f", o.CPU), peak})
		if len(o.Processes) > 1 {
			rows = append(rows, eachProcess(o.Processes)...)
		}
	}
	p.table(table.Row{"way", "seconds", "stored", "M rows/s", "times as long", "database", "CPU s", "peak memory"}, 1, rows)
}

func eachProcess(processes []usage) (rows []table.Row) {
	for _, u := range processes {
		rows = append(rows, table.Row{"- " + u.Name, "", "", "", "", "", fmt.Sprintf("%.2f", u.CPU), mebibytes(u.Peak)})
	}
	return rows
}

// growth shows whether twice the rows take twice the time, and no more memory.
func (p *page) growth(sizes []comparison) {
	head := table.Row{"rows", "seconds", "microseconds a row", "CPU microseconds a row", "bytes a row"}
	for _, u := range sizes[0].Outcomes[0].Processes {
		head = append(head, u.Name)
	}
	var rows []table.Row
	for _, c := range sizes {
		o, n := c.Outcomes[0], float64(c.Rows)
		row := table.Row{
			thousands(c.Rows), fmt.Sprintf("%.2f", o.Seconds.Median), fmt.Sprintf("%.2f", o.Seconds.Median*1e6/n),
			fmt.Sprintf("%.2f", o.CPU*1e6/n), fmt.Sprintf("%.1f", float64(o.Database)/n),
		}
		for _, u := range o.Processes {
			row = append(row, mebibytes(u.Peak))
		}
		rows = append(rows, row)
	}
	p.table(head, 0, rows)
}

func (p *page) latencies(latencies []latency) {
	var rows []table.Row
	for _, l := range latencies {
		offered := thousands(int(l.Offered))
		if l.Offered == 0 {
			offered = "no pause"
		}
		rows = append(rows, table.Row{
			offered, thousands(l.Rows), thousands(int(l.Published)), thousands(int(l.Stored)),
			triple(l.Queued), triple(l.Visible),
		})
	}
	p.table(table.Row{"offered rows/s", "rows", "published/s", "stored/s", "queued ms: p50 / p99 / max", "visible ms: p50 / p99 / max"}, 0, rows)
}

func triple(w waits) string { return fmt.Sprintf("%.1f / %.1f / %.1f", w.P50, w.P99, w.Max) }

func (p *page) lab(trials []trial) {
	var rows []table.Row
	for _, t := range trials {
		best, confirmed, ok := bestDirect(trials, t.Processes)
		against := "-"
		if queue := t.Strategy == "confirmed" || t.Strategy == "queued"; ok && queue {
			against = fmt.Sprintf("%.2f (%s)", t.Rate/best.Rate, best.Strategy)
		} else if ok {
			against = fmt.Sprintf("confirmed is %.2f", confirmed.Rate/t.Rate)
		}
		rows = append(rows, table.Row{
			t.Processes, t.Strategy, fmt.Sprintf("%d/%d", t.Stored, t.Asked), codes(t.Errors), thousands(int(t.Rate)),
			against, optional(t.Wait.P50, 2), optional(t.Wait.P99, 1), optional(t.Wait.Max, 1),
			fmt.Sprintf("%d-%d", t.PerProcess.Min, t.PerProcess.Max), optional(t.Fairness, 3),
		})
	}
	p.table(table.Row{"processes", "strategy", "stored/asked", "errors", "rows/s", "times the best direct", "wait p50 ms", "p99", "worst", "poorest-richest", "Jain"}, 0, rows)
}

// codes is "5: 3, 517: 1": extended result code of SQLite and attempts.
func codes(errors map[string]int) string {
	var s []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		s = append(s, fmt.Sprintf("%s: %d", code, errors[code]))
	}
	return strings.Join(s, ", ")
}

func (p *page) benchmarks(benchmarks []benchmark) {
	var rows []table.Row
	for _, b := range benchmarks {
		rows = append(rows, table.Row{b.Name, b.Result})
	}
	p.table(table.Row{"part", "result"}, 2, rows)
}
