package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"turnstile/internal/screen"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Report is everything that is reported of a run, in any format.
type Report struct {
	CommandLine string // what was typed, "" if that is not known
	About       any    // what a result depends on, for JSON
	AboutLine   string // the same in short
	Warning     string // why the figures may mislead, "" for nothing
	Trials      []Trial
	Interrupted bool

	// AllFindings: the text has every finding, not the most important ones.
	AllFindings bool
	// Command returns what to type to check a recommendation.
	Command func(Advice) string
	// MoreFindings tells the reader how to get all findings.
	MoreFindings string
}

// checkCommand is Command, which may be nil.
func (r Report) checkCommand(a Advice) string {
	if r.Command == nil {
		return ""
	}
	return r.Command(a)
}

// Recordings returns the recordings of all trials.
func (r Report) Recordings() []*Recording {
	var all []*Recording
	for _, t := range r.Trials {
		if t.Recording != nil {
			all = append(all, t.Recording)
		}
	}
	return all
}

// shownFindings is how many findings the text has, unless all are asked for.
const shownFindings = 6

// Text writes the report for a person.
func (r Report) Text(w io.Writer, p screen.Paint) error {
	var b strings.Builder
	first, rest := r.splitIntroduction()
	if len(first) > 0 {
		b.WriteString(heading(p, "Introduction: three processes, one database file"))
		b.WriteString(p.Wrap("  ", "  ", "Each of three processes writes two rows, all at the same time. For each row a process connects and "+
			"runs BEGIN, INSERT, a task (the work behind the row) and COMMIT."))
		for _, t := range first {
			b.WriteString("\n" + describeIntroduction(t, p))
		}
	}
	groups := groupBySize(rest)
	hidden := len(narrowing)
	for _, g := range groups {
		b.WriteString(heading(p, capitalize(g.Setting.Size())))
		if line := conditions(g); line != "" {
			b.WriteString(p.Wrap("  ", "  ", line) + "\n")
		}
		table, left := textTable(g.trials, p)
		hidden = min(hidden, left)
		b.WriteString(indent(table))
		for _, t := range g.trials {
			b.WriteString(details(t, p, len(rest)))
		}
	}
	if len(rest) > 0 {
		b.WriteString("\n" + tableLegend(rest, narrowing[:hidden], p))
	}
	b.WriteString(sweepTables(groups, p))
	if r.Interrupted {
		b.WriteString("\n" + p.Red("Interrupted: this is what was measured until then.") + "\n")
	}
	b.WriteString(r.findingsText(p))
	if a, ok := recommend(r.Trials); ok {
		b.WriteString(heading(p, "Recommendation"))
		b.WriteString(p.Wrap("  ", "  ", a.Text))
		b.WriteString("\n" + commandLines(r.checkCommand(a), p))
	}
	if r.AboutLine != "" {
		b.WriteString("\n" + p.Wrap("", "", r.AboutLine))
	}
	if r.Warning != "" {
		b.WriteString(p.Wrap("", "", p.Red("Warning: ")+r.Warning))
	}
	_, err := io.WriteString(w, strings.TrimLeft(b.String(), "\n"))
	return err
}

// splitIntroduction separates the introduction from the trials that are
// compared.
func (r Report) splitIntroduction() (first, rest []Trial) {
	for _, t := range r.Trials {
		if t.Introduction {
			first = append(first, t)
		} else {
			rest = append(rest, t)
		}
	}
	return first, rest
}

func (r Report) findingsText(p screen.Paint) string {
	all := Findings(r.Trials)
	if len(all) == 0 {
		return ""
	}
	shown := all
	if !r.AllFindings {
		shown = all[:min(shownFindings, len(all))]
	}
	var b strings.Builder
	b.WriteString(heading(p, "What this run shows"))
	for _, s := range shown {
		b.WriteString(p.Wrap("  - ", "    ", s))
	}
	if more := len(all) - len(shown); more > 0 {
		b.WriteString(p.Wrap("  - ", "    ", p.Faint(fmt.Sprintf("%d more: %s", more, r.MoreFindings))))
	}
	return b.String()
}

// describeIntroduction tells one of the introduction's two trials row by row.
func describeIntroduction(t Trial, p screen.Paint) string {
	what := "No task: each transaction is over in a moment."
	if t.Task > 0 {
		what = fmt.Sprintf("A task of %s inside the transaction, and a busy timeout of %s.", exactTime(t.Task), exactTime(t.BusyTimeout))
	}
	b := p.Wrap("  ", "  ", p.Bold(what))
	if t.Stored == t.Asked {
		return b + fmt.Sprintf("  All %d of %d rows are stored, after %s.\n", t.Stored, t.Asked, roundSeconds(valueOf(t.Seconds)))
	}
	b += fmt.Sprintf("  %d of %d rows are stored, %s.\n\n", t.Stored, t.Asked, p.Red(fmt.Sprintf("%d lost", t.Lost)))
	return b + timeline(t, p) + "\n" + eventSentences(t, p)
}

// details follow the table where a trial has more to tell.
func details(t Trial, p screen.Paint, trials int) string {
	if trials > 4 || t.Asked > 24 || t.shown() == nil {
		return busySummary(t, p)
	}
	return "\n  " + p.Bold(t.Strategy) + "\n" + timeline(t, p) + "\n" + eventSentences(t, p)
}

// conditions are what the trials of a group have in common beside their size.
func conditions(g group) string {
	s := g.Setting
	var c []string
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

func newTextTable() table.Writer {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Options = table.Options{SeparateHeader: true}
	w.Style().Format.Header = text.FormatDefault
	w.Style().Box.PaddingLeft, w.Style().Box.PaddingRight = "", "   "
	return w
}

// narrowing is the order in which columns of the table are left out where they do not
// fit: those whose facts the findings tell, too, go first.
var narrowing = []string{"wait p50 ms", "Jain", "rows/process", "BUSY"}

// textTable shows the trials. Columns that do not fit the width are left out, and named.
// It returns how many of narrowing these are.
func textTable(trials []Trial, p screen.Paint) (table string, left int) {
	for n := 0; ; n++ {
		rendered := renderTable(trials, narrowing[:n], p)
		if n < len(narrowing) && text.LongestLineLen(rendered)+2 > p.Width() {
			continue
		}
		if n > 0 {
			rendered += "\n" + strings.TrimSuffix(p.Narrower(2).Wrap("", "", "not shown for want of space: "+joinNames(narrowing[:n])+"; a wider terminal shows all"), "\n")
		}
		return rendered + "\n" + repeatLines(trials, p), n
	}
}

func renderTable(trials []Trial, without []string, p screen.Paint) string {
	w := newTextTable()
	columns := []string{"strategy", "stored/asked", "BUSY", "rows/s", "wait p50 ms", "max wait ms", "rows/process", "Jain"}
	row := func(cells ...string) (kept table.Row) {
		for i, c := range cells {
			if !slices.Contains(without, columns[i]) {
				kept = append(kept, c)
			}
		}
		return kept
	}
	w.AppendHeader(row(columns...))
	w.SetColumnConfigs(alignRight(2, len(columns)))
	for _, t := range trials {
		stored := fmt.Sprintf("%s/%s", thousands(t.Stored), thousands(t.Asked+t.NotBegun))
		busy := thousands(t.BusyCount())
		if t.Stored != t.Asked {
			stored = p.Red(stored)
		}
		if t.BusyCount() > 0 {
			busy = p.Red(busy)
		}
		w.AppendRow(row(
			t.Strategy, stored, busy, figure(t.Rate), optionalFigure(t.Wait.P50), optionalFigure(t.Wait.Max),
			fmt.Sprintf("%s-%s", thousands(t.MinRows), thousands(t.MaxRows)), jainText(t.Fairness),
		))
	}
	return strings.TrimRight(w.Render(), " ")
}

// tableLegend explains the columns of the tables above it, with an example, but for
// those that no table shows.
func tableLegend(trials []Trial, hidden []string, p screen.Paint) string {
	moment := "when the first one was done"
	if trials[0].For > 0 {
		moment = "at the end"
	}
	shared := ""
	if slices.ContainsFunc(trials, func(t Trial) bool { return Find(t.Strategy).Queue == FromQueue }) {
		shared = " (consumers share one queue, so a process may store more than its part)"
	}
	words := []string{"wait: from ready to commit or failure, less the task; for example ready at 0, a task of 20 ms, commit at 100 ms: 80 ms."}
	for _, e := range []struct{ column, text string }{
		{"wait p50 ms", "p50: half of all rows waited less."},
		{"BUSY", "BUSY: SQLITE_BUSY errors."},
		{"rows/process", "rows/process: fewest-most " + moment + shared + "."},
		{"Jain", "Jain: 1 all got the same, 1/n one got all."},
	} {
		if !slices.Contains(hidden, e.column) {
			words = append(words, e.text)
		}
	}
	var b strings.Builder
	for line := range strings.Lines(p.Wrap("  ", "  ", strings.Join(words, " "))) {
		b.WriteString(p.Faint(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// alignRight aligns the columns from one to another to the right.
func alignRight(from, to int) []table.ColumnConfig {
	var c []table.ColumnConfig
	for i := from; i <= to; i++ {
		c = append(c, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return c
}

// repeatLines say how far the repeats of each trial differ.
func repeatLines(trials []Trial, p screen.Paint) string {
	var b strings.Builder
	for _, t := range trials {
		r, ok := t.Range["rows_per_second"]
		if !ok {
			continue
		}
		wait := t.Range["wait_max_ms"]
		b.WriteString(p.Narrower(2).Wrap(fmt.Sprintf("%-12s ", t.Strategy), strings.Repeat(" ", 13), fmt.Sprintf(
			"%d runs: %s to %s rows/s, max wait %s to %s; the table has the median run",
			t.Repeat, figure(r[0]), figure(r[1]), roundMillis(wait[0]), roundMillis(wait[1]))))
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

// sweepTables show rows/s and max wait by strategy and number of processes: a
// pair of tables for each task that was tried with several numbers.
func sweepTables(groups []group, p screen.Paint) string {
	var b strings.Builder
	var tasks []time.Duration
	byTask := map[time.Duration][]group{}
	for _, g := range groups {
		if byTask[g.Setting.Task] == nil {
			tasks = append(tasks, g.Setting.Task)
		}
		byTask[g.Setting.Task] = append(byTask[g.Setting.Task], g)
	}
	for _, task := range tasks {
		of := byTask[task]
		if len(of) < 2 {
			continue
		}
		with := "no task"
		if task > 0 {
			with = "a task of " + exactTime(task)
		}
		b.WriteString(heading(p, "By number of processes, "+with))
		b.WriteString(indent(sweepTable("rows/s", of, func(t Trial) string { return figure(t.Rate) })) + "\n")
		b.WriteString(indent(sweepTable("max wait ms", of, func(t Trial) string { return optionalFigure(t.Wait.Max) })))
	}
	return b.String()
}

func sweepTable(title string, groups []group, cell func(Trial) string) string {
	w := newTextTable()
	header := table.Row{title}
	var names []string
	rows := map[string]table.Row{}
	for i, g := range groups {
		header = append(header, g.Setting.Processes)
		for _, t := range g.trials {
			if rows[t.Strategy] == nil {
				names = append(names, t.Strategy)
				rows[t.Strategy] = table.Row{t.Strategy}
			}
			for len(rows[t.Strategy]) <= i {
				rows[t.Strategy] = append(rows[t.Strategy], "-")
			}
			rows[t.Strategy] = append(rows[t.Strategy], cell(t))
		}
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(alignRight(2, len(header)))
	for _, name := range names {
		w.AppendRow(rows[name])
	}
	return w.Render()
}

// commandLines shows what to type, broken where it is too long.
func commandLines(command string, p screen.Paint) string {
	flags := strings.Split(command, " --") // each with its value
	lines := flags[:1]
	for _, f := range flags[1:] {
		if last := &lines[len(lines)-1]; len(*last)+len(f) > p.Width()-12 {
			lines = append(lines, "--"+f)
		} else {
			*last += " --" + f
		}
	}
	return "    " + strings.Join(lines, " \\\n      ") + "\n"
}
