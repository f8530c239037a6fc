package lab

// The report as text for a person: what happened, what it means, what to do.
// Every report is a function of a Report; nothing here looks at a clock.

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A Report is all that is reported, in any format.
type Report struct {
	About       any    // what a result depends on, for JSON
	AboutLine   string // the same in short
	Warning     string // what makes the figures worth less, "" for nothing
	Trials      []Trial
	Interrupted bool
}

// Text writes the report in at most 100 columns.
func (r Report) Text(w io.Writer, colour bool) error {
	p := paint(colour)
	var b strings.Builder
	original, rest := r.parts()
	if len(original) > 0 {
		b.WriteString(p.head("The original experiment, at a tenth of its times"))
		b.WriteString(wrap("  ", "  ", "Three processes write two rows each into one file, all at once. A row is: connect, BEGIN, "+
			"INSERT, work, COMMIT."))
		for _, t := range original {
			b.WriteString("\n" + experiment(t, p))
		}
	}
	for _, g := range groups(rest) {
		b.WriteString(p.head(capital(g.Setting.size())))
		if line := conditions(g.Setting); line != "" {
			b.WriteString("  " + line + "\n\n")
		}
		b.WriteString(indent(textTable(g.trials, p)))
		for _, t := range g.trials {
			b.WriteString(details(t, p, len(rest)))
		}
	}
	if r.Interrupted {
		b.WriteString("\n" + p.bad("Interrupted: this is what was measured until then.") + "\n")
	}
	if f := Findings(r.Trials); len(f) > 0 {
		b.WriteString(p.head("What this run shows"))
		for _, s := range f {
			b.WriteString(wrap("  - ", "    ", s))
		}
	}
	if a, ok := Recommend(r.Trials); ok {
		b.WriteString(p.head("Recommendation"))
		b.WriteString(wrap("  ", "  ", a.Text))
		b.WriteString("\n" + command(a.Command))
	}
	if r.AboutLine != "" {
		b.WriteString("\n" + wrap("", "", r.AboutLine))
	}
	if r.Warning != "" {
		b.WriteString(wrap("", "", p.bad("Mind: ")+r.Warning))
	}
	_, err := io.WriteString(w, strings.TrimLeft(b.String(), "\n"))
	return err
}

// parts tells the original experiment from the trials that are compared.
func (r Report) parts() (original, rest []Trial) {
	for _, t := range r.Trials {
		if t.Original {
			original = append(original, t)
		} else {
			rest = append(rest, t)
		}
	}
	return original, rest
}

// experiment tells one of the original's two trials, row by row.
func experiment(t Trial, p paint) string {
	what := "No task: the transaction is over in a moment."
	if t.Task > 0 {
		what = fmt.Sprintf("A task of %s inside the transaction, and a busy timeout of %s.", exact(t.Task), exact(t.BusyTimeout))
	}
	b := "  " + p.bold(what) + "\n"
	if t.Stored == t.Asked {
		return b + fmt.Sprintf("  All %d of %d rows arrived, after %s.\n", t.Stored, t.Asked, clockMillis(1000*value(t.Seconds)))
	}
	b += fmt.Sprintf("  %d of %d rows arrived, %s.\n\n", t.Stored, t.Asked, p.bad(fmt.Sprintf("%d %s lost", t.Lost, are(t.Lost))))
	return b + timeline(t, p) + "\n" + tale(t, p)
}

// details follow the table where a trial has more to tell.
func details(t Trial, p paint, trials int) string {
	if trials > 4 || t.Asked > 24 || len(t.Story) == 0 {
		return lockedOut(t, p)
	}
	return "\n  " + p.bold(t.Strategy) + "\n" + timeline(t, p) + "\n" + tale(t, p)
}

func conditions(s Setting) string {
	c := []string{}
	if s.PerTransaction != 1 {
		c = append(c, fmt.Sprintf("%d rows a transaction", s.PerTransaction))
	}
	if s.Offered > 0 {
		c = append(c, fmt.Sprintf("%s rows/s offered, waits counted from when a row is due", figure(s.Offered)))
	}
	if s.Sync != "full" {
		c = append(c, "synchronous "+strings.ToUpper(s.Sync)+": a power cut may lose the last commits")
	}
	return strings.Join(c, "; ")
}

func textTable(trials []Trial, p paint) string {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Options = table.Options{SeparateHeader: true}
	w.Style().Format.Header = text.FormatDefault
	w.Style().Box.PaddingLeft, w.Style().Box.PaddingRight = "", "   "
	w.AppendHeader(table.Row{"strategy", "stored/asked", "locked out", "rows/s", "wait p50 ms", "worst ms", "poorest-richest"})
	w.SetColumnConfigs(right(2, 7))
	for _, t := range trials {
		stored := fmt.Sprintf("%s/%s", thousands(int64(t.Stored)), thousands(int64(t.Asked)))
		locked := thousands(int64(t.LockedOut()))
		if t.Stored != t.Asked {
			stored = p.bad(stored)
		}
		if t.LockedOut() > 0 {
			locked = p.bad(locked)
		}
		w.AppendRow(table.Row{
			t.Strategy, stored, locked, figure(t.Rate), optional(t.Wait.P50), optional(t.Wait.Max),
			fmt.Sprintf("%s-%s", thousands(int64(t.Poorest)), thousands(int64(t.Richest))),
		})
	}
	return w.Render() + "\n" + ranges(trials)
}

// right aligns the columns from one to another to the right.
func right(from, to int) []table.ColumnConfig {
	var c []table.ColumnConfig
	for i := from; i <= to; i++ {
		c = append(c, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return c
}

// ranges says how far the repeats lay apart.
func ranges(trials []Trial) string {
	var b strings.Builder
	for _, t := range trials {
		r, ok := t.Range["rows_per_second"]
		if !ok {
			continue
		}
		worst := t.Range["wait_max_ms"]
		fmt.Fprintf(&b, "%-12s %d runs: %s to %s rows/s, worst wait %s to %s; the table has the median run\n",
			t.Strategy, t.Repeat, figure(r[0]), figure(r[1]), clockMillis(worst[0]), clockMillis(worst[1]))
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

// LockedOut is how many transactions were refused because of a lock.
func (t Trial) LockedOut() int {
	n := 0
	for code, times := range t.Errors {
		if code&0xff == busy {
			n += times
		}
	}
	return n
}

func value(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// indent moves every line to the right, and takes blanks from their ends.
func indent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight("  "+lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}
