package main

// The result: figures, targets, and their text form.

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

type result struct {
	Machine     json.RawMessage `json:"machine"`
	Shell       string          `json:"sqlite3"`
	At          time.Time       `json:"at"`
	Load        string          `json:"load_average"` // before the run
	Rounds      int             `json:"rounds"`
	Interrupted bool            `json:"interrupted"`
	Targets     []target        `json:"targets"`
	Comparisons []comparison    `json:"comparisons"`
	Tables      []figures       `json:"tables"`
}

// A target is what turnstile sets out to reach.
type target struct {
	What     string `json:"what"`
	Goal     string `json:"goal"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
}

func (b *bench) target(what, goal string, met bool, measured string) {
	b.result.Targets = append(b.result.Targets, target{what, goal, measured, met})
}

// A comparison is several ways to process one file.
type comparison struct {
	Title string     `json:"title"`
	Rows  int        `json:"rows"`
	Ways  []measured `json:"ways"`
}

type measured struct {
	Name      string  `json:"name"`
	Seconds   spread  `json:"seconds"`
	Rate      float64 `json:"rows_per_second"`
	Ratio     spread  `json:"ratio"` // to the first way of the comparison
	Bytes     int64   `json:"bytes"` // of the database, or the queue
	CPU       float64 `json:"cpu_seconds"`
	Processes []usage `json:"processes"` // medians of CPU seconds, largest peaks
}

// figures is a table with a spread in each cell.
type figures struct {
	Title   string      `json:"title"`
	Columns []string    `json:"columns"`
	Rows    []figureRow `json:"rows"`
}

type figureRow struct {
	Name   string   `json:"name"`
	Values []spread `json:"values"`
}

// add adds a row, whose values it takes from several rounds.
func (f *figures) add(name string, rounds [][]float64) []spread {
	row := figureRow{Name: name}
	for i := range f.Columns {
		var values []float64
		for _, r := range rounds {
			values = append(values, r[i])
		}
		row.Values = append(row.Values, spreadOf(values))
	}
	f.Rows = append(f.Rows, row)
	return row.Values
}

// A spread is the median and the range of several rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// text formats a spread with some digits after the point.
func (s spread) text(digits int) string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.*f", digits, s.Median)
	}
	return fmt.Sprintf("%.*f (%.*f-%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// text writes the tables.
func (r result) text(w io.Writer) error {
	var p strings.Builder
	var rows []table.Row
	for _, t := range r.Targets {
		rows = append(rows, table.Row{t.What, t.Goal, map[bool]string{true: "met", false: "NOT met"}[t.Met], t.Measured})
	}
	writeTable(&p, "Targets", table.Row{"what", "target", "", "measured"}, 4, rows)
	for _, c := range r.Comparisons {
		writeTable(&p, fmt.Sprintf("%s, %d rows", c.Title, c.Rows), table.Row{"way", "seconds", "M rows/s", "ratio", "size", "CPU s", "peak memory"}, 1, c.table())
	}
	for _, t := range r.Tables {
		head, rows := table.Row{""}, []table.Row{}
		for _, name := range t.Columns {
			head = append(head, name)
		}
		for _, row := range t.Rows {
			cells := table.Row{row.Name}
			for _, v := range row.Values {
				digits := 0
				if v.Max < 1000 {
					digits = 2
				}
				cells = append(cells, v.text(digits))
			}
			rows = append(rows, cells)
		}
		writeTable(&p, t.Title, head, 1, rows)
	}
	for line := range strings.Lines(text.WrapSoft(r.conditions(), 110)) {
		p.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// table has a row for each way, and for each process of a way with several.
func (c comparison) table() (rows []table.Row) {
	for _, m := range c.Ways {
		peak := ""
		if len(m.Processes) == 1 {
			peak = mebibytes(m.Processes[0].Peak)
		}
		rows = append(rows, table.Row{m.Name, m.Seconds.text(2), fmt.Sprintf("%.2f", m.Rate/1e6), m.Ratio.text(2), mebibytes(m.Bytes), fmt.Sprintf("%.2f", m.CPU), peak})
		for _, u := range m.Processes {
			if len(m.Processes) > 1 {
				rows = append(rows, table.Row{"- " + u.Name, "", "", "", "", fmt.Sprintf("%.2f", u.CPU), mebibytes(u.Peak)})
			}
		}
	}
	return rows
}

func (r result) conditions() string {
	var m struct {
		CPUs       int    `json:"cpus"`
		CPUModel   string `json:"cpu_model"`
		FileSystem struct {
			Type    string  `json:"type"`
			Fsync   float64 `json:"fsync_us"`
			Warning string  `json:"warning"`
		} `json:"file_system"`
	}
	_ = json.Unmarshal(r.Machine, &m) // without it the line has zeros
	s := fmt.Sprintf("%s, %d CPUs (%s), %s with an fsync of %.2f ms, load average %s before the run, sqlite3 shell %q. "+
		"Medians of %d rounds with the range in brackets. A ratio is of seconds in the same round. "+
		"CPU s divided by the number of CPUs is the least time a way can take here.",
		r.At.Format(time.DateOnly), m.CPUs, m.CPUModel, m.FileSystem.Type, m.FileSystem.Fsync/1000, r.Load, r.Shell, r.Rounds)
	if m.FileSystem.Warning != "" {
		s += " Warning: " + m.FileSystem.Warning + "."
	}
	if r.Interrupted {
		s += " INTERRUPTED: this is what was measured until then."
	}
	return s
}

// writeTable writes a table whose first columns are aligned left.
func writeTable(p *strings.Builder, title string, head table.Row, left int, rows []table.Row) {
	w := table.NewWriter()
	w.AppendHeader(head)
	w.AppendRows(rows)
	var columns []table.ColumnConfig
	for n := left + 1; n <= len(head); n++ {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	w.SetColumnConfigs(columns)
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	w.SetStyle(style)
	p.WriteString(title + "\n\n")
	for line := range strings.Lines(w.Render() + "\n\n") {
		p.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
}
