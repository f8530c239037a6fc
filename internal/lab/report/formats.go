package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// DocumentVersion is the version of the JSON document. Keys may be added
// within a version.
const DocumentVersion = 1

// document is the report for a program. Its keys are a contract: they are
// documented in the command's manual and tested by a golden file. It has all
// that is needed to make the report again.
type document struct {
	Version     int        `json:"version"`
	Command     string     `json:"command"`
	About       any        `json:"about"`
	AboutLine   string     `json:"about_line"`
	Warning     string     `json:"warning"`
	Interrupted bool       `json:"interrupted"`
	Trials      []trialDoc `json:"trials"`
	Findings    []string   `json:"findings"`
}

type trialDoc struct {
	Strategy       string                `json:"strategy"`
	Processes      int                   `json:"processes"`
	Rows           *int                  `json:"rows_per_process"`
	For            *float64              `json:"for_ms"`
	PerTransaction int                   `json:"rows_per_transaction"`
	Task           float64               `json:"task_ms"`
	BusyTimeout    float64               `json:"busy_timeout_ms"`
	Offered        *float64              `json:"offered_rows_per_second"`
	Deadline       *float64              `json:"deadline_ms"`
	Introduction   bool                  `json:"introduction"`
	Journal        string                `json:"journal_mode"`
	Sync           string                `json:"synchronous"`
	Asked          int                   `json:"asked"`
	Stored         int                   `json:"stored"`
	Lost           int                   `json:"lost"`
	NotBegun       int                   `json:"not_begun"`
	Unaccounted    int                   `json:"unaccounted"`
	Errors         map[string]int        `json:"errors"`
	Seconds        *float64              `json:"seconds"`
	Published      *float64              `json:"published_seconds"`
	Rate           float64               `json:"rows_per_second"`
	RowsPerCommit  *float64              `json:"rows_per_commit"`
	Wait           waitDoc               `json:"wait_ms"`
	PerProcess     rangeDoc              `json:"per_process"`
	Fairness       *float64              `json:"fairness"`
	Processed      []processDoc          `json:"process_results"`
	Held           float64               `json:"lock_held_ms"`
	LockWait       lockWaitDoc           `json:"lock_wait_ms"`
	Holders        []holderDoc           `json:"holders"`
	Busy           []busyDoc             `json:"busy_waits"`
	Deaths         []deathDoc            `json:"deaths"`
	StartSpread    float64               `json:"start_spread_ms"`
	Restarts       []float64             `json:"restart_spreads_ms"`
	Interrupted    bool                  `json:"interrupted"`
	TimedOut       bool                  `json:"timed_out"`
	Repeat         int                   `json:"repeat"`
	Range          map[string][2]float64 `json:"range"`
	Recording      *Recording            `json:"recording"`
}

type waitDoc struct {
	P50     *float64 `json:"p50"`
	P99     *float64 `json:"p99"`
	Max     *float64 `json:"max"`
	Samples int64    `json:"samples"`
	Worst   string   `json:"worst"`
}

type rangeDoc struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

type processDoc struct {
	Process string  `json:"process"`
	Rows    int     `json:"rows"`
	Busy    int     `json:"busy"`
	MaxWait float64 `json:"max_wait_ms"`
}

type lockWaitDoc struct {
	Total     float64 `json:"total"`
	Free      float64 `json:"nobody_held"`
	Contended float64 `json:"held_while_waiting"`
}

type holderDoc struct {
	Process string  `json:"process"`
	PID     int     `json:"pid"`
	Holds   int     `json:"holds"`
	Held    float64 `json:"held_ms"`
	Longest float64 `json:"longest_ms"`
}

type busyDoc struct {
	Process  string       `json:"process"`
	Row      int          `json:"row"`
	Code     int          `json:"code"`
	At       float64      `json:"at_ms"`
	Waited   float64      `json:"waited_ms"`
	Holders  []heldDoc    `json:"holders"`
	Free     float64      `json:"nobody_ms"`
	Observed *observedDoc `json:"observed"`
}

type heldDoc struct {
	Process string  `json:"process"`
	Held    float64 `json:"held_ms"`
	Holds   int     `json:"holds"`
}

type observedDoc struct {
	Process  string `json:"process"`
	PID      int    `json:"pid"`
	Lock     string `json:"lock"`
	External bool   `json:"external"`
}

type deathDoc struct {
	Process string `json:"process"`
	How     string `json:"how"`
	Ended   int    `json:"rows"`
}

// JSON writes the report as one document.
func (r Report) JSON(w io.Writer) error {
	d := r.document()
	d.Findings = append(d.Findings, Findings(r.Trials)...)
	if a, ok := recommend(r.Trials); ok {
		d.Findings = append(d.Findings, "Recommendation. "+a.Text+" Check it: "+r.checkCommand(a))
	}
	return WriteJSON(w, d)
}

// document is the report without its findings.
func (r Report) document() document {
	d := document{
		Version: DocumentVersion, Command: r.CommandLine, About: r.About, AboutLine: r.AboutLine, Warning: r.Warning,
		Interrupted: r.Interrupted, Trials: []trialDoc{}, Findings: []string{},
	}
	for _, t := range r.Trials {
		d.Trials = append(d.Trials, t.document())
	}
	return d
}

// WriteJSON indents a document, but for the columns of a recording: a line for
// each of a hundred thousand numbers would help nobody.
func WriteJSON(w io.Writer, document any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return err
	}
	_, err := w.Write(numberLists.ReplaceAllFunc(b.Bytes(), func(list []byte) []byte {
		return spaces.ReplaceAll(list, nil)
	}))
	return err
}

var (
	numberLists = regexp.MustCompile(`\[\s+-?[0-9][0-9.,\s-]*\]`)
	spaces      = regexp.MustCompile(`\s+`)
)

// Read reads a document that [Report.JSON] wrote, or a [Recording]: then the
// report is nil. It returns a [*NotResultError], a [*VersionError], or an
// [*InconsistentError].
func Read(r io.Reader) (*Report, *Recording, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, fmt.Errorf("report: read a result: %w", err)
	}
	var kind struct {
		Trials, Lanes json.RawMessage
	}
	if err := json.Unmarshal(text, &kind); err != nil || kind.Trials == nil && kind.Lanes == nil {
		return nil, nil, &NotResultError{err}
	}
	if kind.Lanes != nil {
		recording := &Recording{}
		if err := decode(text, recording); err != nil {
			return nil, nil, err
		}
		return nil, recording, recording.check()
	}
	report, err := readReport(text)
	if err != nil {
		return nil, nil, err
	}
	return &report, nil, nil
}

// decode returns a [*InconsistentError] or a [*NotResultError].
func decode(text []byte, to any) error {
	err := json.Unmarshal(text, to)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*InconsistentError](err); ok {
		return e
	}
	return &NotResultError{err}
}

// check returns a [*VersionError] for a recording of another version.
func (r *Recording) check() error {
	if r.Version != RecordingVersion {
		return &VersionError{"recording", r.Version, RecordingVersion}
	}
	return nil
}

// NotResultError is returned for a file that is neither a result nor a
// recording.
type NotResultError struct{ Err error }

func (e *NotResultError) Error() string {
	s := "report: the file is neither a result in JSON nor a recording"
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns what the JSON decoder says.
func (e *NotResultError) Unwrap() error { return e.Err }

func readReport(text []byte) (Report, error) {
	var d document
	if err := decode(text, &d); err != nil {
		return Report{}, err
	}
	if d.Version < 1 || d.Version > DocumentVersion {
		return Report{}, &VersionError{"result", d.Version, DocumentVersion}
	}
	report := Report{CommandLine: d.Command, About: d.About, AboutLine: d.AboutLine, Warning: d.Warning, Interrupted: d.Interrupted}
	for i, t := range d.Trials {
		if err := t.check(i + 1); err != nil {
			return Report{}, err
		}
		trial, err := t.trial()
		if err != nil {
			return Report{}, err
		}
		report.Trials = append(report.Trials, trial)
	}
	return report, nil
}

// VersionError is returned for a document of another version of the schema.
type VersionError struct {
	Document  string // "result" or "recording"
	Got, Want int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("report: the %s has version %d of its schema, want 1 to %d", e.Document, e.Got, e.Want)
}

func (t Trial) document() trialDoc {
	d := trialDoc{
		Strategy: t.Strategy, Processes: t.Processes, PerTransaction: t.PerTransaction,
		Task: durationMillis(t.Task), BusyTimeout: durationMillis(t.BusyTimeout), Introduction: t.Introduction,
		Journal: t.Journal, Sync: t.Sync,
		Asked: t.Asked, Stored: t.Stored, Lost: t.Lost, NotBegun: t.NotBegun, Unaccounted: t.Unaccounted, Errors: map[string]int{},
		Seconds: t.Seconds, Published: t.Published, Rate: t.Rate, RowsPerCommit: t.RowsPerCommit,
		Wait:       waitDoc(t.Wait),
		PerProcess: rangeDoc{t.MinRows, t.MaxRows}, Fairness: t.Fairness, Processed: []processDoc{},
		Held:     milliseconds(t.HeldSeconds),
		LockWait: lockWaitDoc{durationMillis(t.LockWait.Total), durationMillis(t.LockWait.Free), durationMillis(t.LockWait.Contended)},
		Holders:  []holderDoc{}, Busy: []busyDoc{}, Deaths: []deathDoc{},
		StartSpread: durationMillis(t.StartSpread), Restarts: []float64{}, Interrupted: t.Interrupted, TimedOut: t.TimedOut,
		Repeat: t.Repeat, Range: map[string][2]float64{}, Recording: t.Recording,
	}
	if t.For == 0 {
		d.Rows = &t.Rows
	} else {
		d.For = millis(t.For)
	}
	if t.Offered > 0 {
		d.Offered = &t.Offered
	}
	if t.Deadline > 0 {
		d.Deadline = millis(t.Deadline)
	}
	for code, n := range t.Errors {
		d.Errors[strconv.Itoa(code)] = n
	}
	for _, p := range t.Processed {
		d.Processed = append(d.Processed, processDoc(p))
	}
	for _, h := range t.Holders {
		d.Holders = append(d.Holders, holderDoc{h.Process, h.PID, h.Holds, durationMillis(h.Held), durationMillis(h.Longest)})
	}
	for _, b := range t.Busy {
		d.Busy = append(d.Busy, b.document())
	}
	for _, death := range t.Deaths {
		d.Deaths = append(d.Deaths, deathDoc(death))
	}
	for _, spread := range t.Restarts {
		d.Restarts = append(d.Restarts, durationMillis(spread))
	}
	maps.Copy(d.Range, t.Range)
	return d
}

func (b BusyWait) document() busyDoc {
	d := busyDoc{
		Process: b.Process, Row: b.Row, Code: b.Code, At: durationMillis(b.At), Waited: durationMillis(b.Waited),
		Holders: []heldDoc{}, Free: durationMillis(b.Free),
	}
	for _, h := range b.Holders {
		d.Holders = append(d.Holders, heldDoc{h.Process, durationMillis(h.Held), h.Holds})
	}
	if b.Observed != nil {
		d.Observed = new(observedDoc(*b.Observed))
	}
	return d
}

// trial is the inverse of document.
func (d trialDoc) trial() (Trial, error) {
	t := Trial{
		Setting: Setting{
			Strategy: d.Strategy, Processes: d.Processes, PerTransaction: d.PerTransaction, Task: millisDuration(d.Task),
			BusyTimeout: millisDuration(d.BusyTimeout), Sync: d.Sync, Offered: valueOf(d.Offered),
			For: millisDuration(valueOf(d.For)), Deadline: millisDuration(valueOf(d.Deadline)), Introduction: d.Introduction,
		},
		Journal: d.Journal, Asked: d.Asked, Stored: d.Stored, Lost: d.Lost, NotBegun: d.NotBegun, Unaccounted: d.Unaccounted, Errors: map[int]int{},
		Seconds: d.Seconds, Published: d.Published, Rate: d.Rate, RowsPerCommit: d.RowsPerCommit,
		Wait:    WaitStats(d.Wait),
		MinRows: d.PerProcess.Min, MaxRows: d.PerProcess.Max, Fairness: d.Fairness, HeldSeconds: d.Held / 1000,
		LockWait:    LockWait{millisDuration(d.LockWait.Total), millisDuration(d.LockWait.Free), millisDuration(d.LockWait.Contended)},
		StartSpread: millisDuration(d.StartSpread), Interrupted: d.Interrupted, TimedOut: d.TimedOut,
		Repeat: d.Repeat, Range: d.Range, Recording: d.Recording,
	}
	if d.Rows != nil {
		t.Rows = *d.Rows
	}
	for text, n := range d.Errors {
		code, err := strconv.Atoi(text)
		if err != nil {
			return t, &InconsistentError{"errors", fmt.Errorf("%q is no result code of SQLite", text)}
		}
		t.Errors[code] = n
	}
	for _, p := range d.Processed {
		t.Processed = append(t.Processed, ProcessResult(p))
	}
	for _, h := range d.Holders {
		t.Holders = append(t.Holders, Holder{h.Process, h.PID, h.Holds, millisDuration(h.Held), millisDuration(h.Longest)})
	}
	for _, b := range d.Busy {
		t.Busy = append(t.Busy, b.busyWait())
	}
	for _, death := range d.Deaths {
		t.Deaths = append(t.Deaths, Death(death))
	}
	for _, spread := range d.Restarts {
		t.Restarts = append(t.Restarts, millisDuration(spread))
	}
	t.round()
	if t.Recording != nil {
		return t, t.Recording.check()
	}
	return t, nil
}

func (d busyDoc) busyWait() BusyWait {
	b := BusyWait{
		Process: d.Process, Row: d.Row, Code: d.Code, At: millisDuration(d.At), Waited: millisDuration(d.Waited), Free: millisDuration(d.Free),
	}
	for _, h := range d.Holders {
		b.Holders = append(b.Holders, HeldMeanwhile{h.Process, millisDuration(h.Held), h.Holds})
	}
	if d.Observed != nil {
		b.Observed = new(Observed(*d.Observed))
	}
	return b
}

func durationMillis(d time.Duration) float64 { return *millis(d) }

func millisDuration(ms float64) time.Duration {
	return time.Duration(math.Round(ms*1000)) * time.Microsecond
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
	if a, ok := recommend(r.Trials); ok {
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
			t.Strategy, fmt.Sprintf("%d/%d", t.Stored, t.Asked+t.NotBegun), t.BusyCount(), optionalFigure(t.Seconds), figure(t.Rate),
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
