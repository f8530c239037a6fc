package scene

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"turnstile/internal/lab/report"
)

const (
	lineWidth      = 98 // fits a terminal of 100 columns
	statementWidth = 46
	outcomeWidth   = 33
	noteIndent     = "               "
)

// WriteText writes the story for a terminal.
func (s Story) WriteText(w io.Writer, colour bool) error {
	_, err := io.WriteString(w, strings.Join(s.Parts(colour), ""))
	return err
}

// Parts returns the text of the story in parts: one for each act, and one for why
// it happened and what cures it.
func (s Story) Parts(colour bool) []string { return s.parts(colour, lineWidth) }

func (s Story) parts(colour bool, width int) (parts []string) {
	p := &printer{Paint: report.Paint{Colour: colour}, width: width}
	end := func() {
		parts = append(parts, p.b.String())
		p.b.Reset()
	}
	p.line(p.Bold(s.Name + ": " + s.Title))
	for i, act := range s.Acts {
		p.act(i+1, act)
		end()
	}
	p.line("")
	if s.Error != nil {
		p.paragraph(p.Red("Not as expected: "), *s.Error)
	} else {
		p.paragraph(p.Bold("Why: "), s.Why)
		p.paragraph(p.Bold("Cure: "), s.Cure)
	}
	p.line(p.Bold("See: ") + strings.Join(s.Links, "\n     "))
	end()
	return parts
}

type printer struct {
	report.Paint
	b     strings.Builder
	width int
}

func (p *printer) line(s string) { p.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *printer) paragraph(head, s string) {
	for l := range strings.Lines(text.WrapSoft(head+s, p.width)) {
		p.line(strings.TrimRight(l, "\n"))
	}
}

func (p *printer) act(n int, a Act) {
	p.line("")
	p.line(p.Bold(fmt.Sprintf("%d. %s", n, a.Title)))
	p.line("   journal mode " + a.JournalMode)
	for _, r := range a.Actors {
		timeout := time.Duration(r.BusyTimeoutMS) * time.Millisecond
		p.line(fmt.Sprintf("   %s: process %d, busy timeout %s", r.Name, r.PID, timeout))
	}
	p.line(p.Underline(fmt.Sprintf("%6s  %-5s  %-*s  %-*s", "ms", "who", statementWidth, "does", outcomeWidth, "SQLite says")))
	for _, e := range a.Steps {
		p.step(e)
	}
}

func (p *printer) step(e Step) {
	statement := e.Text
	if e.Kind == kindEnded {
		statement = "... " + statement
	}
	p.line(fmt.Sprintf("%6.0f  %-5s  %-*s  %s", e.AtMS, e.Actor, statementWidth, statement, p.outcome(e)))
	if e.Message != nil {
		p.line(noteIndent + p.Red(strconv.Quote(*e.Message)))
	}
	if e.Note != "" {
		p.line(noteIndent + p.Faint("-- "+e.Note))
	}
}

// outcome is SQLite's answer in few words, with the wait where it matters.
func (p *printer) outcome(e Step) string {
	failed := e.Code != nil && *e.Code != 0
	said := "ok"
	switch {
	case e.Kind == kindStarted:
		return "waits"
	case failed:
		said = fmt.Sprintf("%d %s", *e.Code, *e.CodeName)
	case e.Kind == kindShell && e.Result == nil:
		return ""
	case e.Kind == kindShell:
		said = *e.Result
	case e.Result != nil:
		said = "row: " + *e.Result
	}
	switch {
	case e.AtOnce:
		said += " at once"
	case failed || e.Kind == kindEnded:
		said += fmt.Sprintf(" after %.0f ms", *e.WaitedMS)
	}
	if failed {
		said = p.Red(said)
	}
	return said
}
