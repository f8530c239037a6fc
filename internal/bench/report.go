package main

// The report: tables for a person, from the same figures as the JSON.

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

type report struct {
	Machine     machine      `json:"machine"`
	Shell       string       `json:"sqlite3"` // version of the sqlite3 shell; "": there was none
	At          time.Time    `json:"at"`
	Load        *float64     `json:"load_average"` // before the run
	Interrupted bool         `json:"interrupted"`
	Pairs       int          `json:"pairs"`
	LeftOut     []string     `json:"left_out,omitempty"` // for want of the shell
	Comparisons []comparison `json:"comparisons"`
	Latencies   []latency    `json:"latencies"`
	Lab         []trial      `json:"lab"`
	Benchmarks  []benchmark  `json:"benchmarks"`
	Targets     []target     `json:"targets"`
}

// A page is a report in the making.
type page struct {
	strings.Builder
	markdown bool
}

func (r report) write(w io.Writer, markdown bool) error {
	p := &page{markdown: markdown}
	p.title("Targets")
	p.targets(r.Targets)
	for _, c := range r.Comparisons {
		p.title(fmt.Sprintf("%s, %s rows", c.Title, thousands(c.Rows)))
		p.comparison(c)
		p.note(c.Note)
	}
	if sizes := r.sizes("pipeline"); len(sizes) > 1 {
		p.title("the pipeline from one size to the next")
		p.growth(sizes)
	}
	if len(r.Latencies) > 0 {
		p.title("one row a message")
		p.latencies(r.Latencies)
		p.note("From the moment a row is due until a reader of the database, which looks every " + figure(r.Latencies[0].Poll) +
			" ms, sees it. Publisher and reader run on the same machine. As fast as it goes, a row is due at once, so its time is mostly that of those before it.")
	}
	if len(r.Lab) > 0 {
		p.title("many processes, one row a transaction, no task")
		p.lab(r.Lab)
		p.note("no-timeout gives a row up at the first refusal; the others wait up to 5 s for the lock.")
	}
	if len(r.Benchmarks) > 0 {
		p.title("parts alone (go test -bench)")
		p.benchmarks(r.Benchmarks)
	}
	p.title("Conditions")
	p.note(r.conditions())
	_, err := io.WriteString(w, p.String())
	return err
}

func (r report) conditions() string {
	s := fmt.Sprintf("%s. %s.", r.At.Format("2006-01-02 15:04"), r.Machine)
	if r.Shell != "" {
		s += " sqlite3 shell " + r.Shell + "."
	}
	if len(r.LeftOut) > 0 {
		s += " There is no sqlite3 shell in PATH, so these were left out: " + strings.Join(r.LeftOut, ", ") + "."
	}
	s += fmt.Sprintf(" Figures are medians of %d rounds, in brackets the range; ratios are of runs of the same round, in turn.", r.Pairs)
	if r.Load != nil && *r.Load > 0.5 {
		s += fmt.Sprintf(" Mind: other programs were at work, with a load average of %.1f before the run: compare ratios and CPU seconds, not seconds.", *r.Load)
	}
	if r.Machine.FileSystem.Warning != "" {
		s += " Mind: " + r.Machine.FileSystem.Warning + "."
	}
	if r.Interrupted {
		s += " INTERRUPTED: this is what was measured until then."
	}
	return s
}

func (p *page) title(s string) {
	if p.Len() > 0 {
		p.WriteString("\n")
	}
	if p.markdown {
		s = "## " + s
	}
	p.WriteString(s + "\n\n")
}

func (p *page) note(s string) {
	if s == "" {
		return
	}
	if !p.markdown {
		s = text.WrapSoft(s, 110)
	}
	if !strings.HasSuffix(p.String(), "\n\n") {
		p.WriteString("\n")
	}
	p.lines(s + "\n")
}

func (p *page) table(head table.Row, left int, rows []table.Row) {
	w := table.NewWriter()
	w.AppendHeader(head)
	w.AppendRows(rows)
	var columns []table.ColumnConfig
	for n := left + 1; n <= len(head); n++ {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	w.SetColumnConfigs(columns)
	if p.markdown {
		p.WriteString(w.RenderMarkdown() + "\n")
		return
	}
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	w.SetStyle(style)
	p.lines(w.Render() + "\n")
}

// lines writes lines without the blanks at their ends that fill up a column.
func (p *page) lines(s string) {
	for line := range strings.Lines(s) {
		p.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// Figures, as short as they can be.

func (s spread) String() string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mebibytes(bytes *int64) string {
	if bytes == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f MiB", float64(*bytes)/(1<<20))
}

func figure(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func optional(f *float64, digits int) string {
	if f == nil {
		return "-"
	}
	return strconv.FormatFloat(*f, 'f', digits, 64)
}
