package scene

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"turnstile/internal/screen"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	statementWidth = 46 // less in a narrow terminal
	outcomeWidth   = 32
	noteIndent     = "               "
)

// WriteText writes the story for a terminal.
func (s Story) WriteText(w io.Writer, paint screen.Paint) error {
	_, err := io.WriteString(w, strings.Join(s.Parts(paint), ""))
	return err
}

// Parts returns the text of the story in parts: one for each act, and one for why
// it happened and what cures it.
func (s Story) Parts(paint screen.Paint) []string { return s.parts(paint, paint.Width()) }

func (s Story) parts(paint screen.Paint, width int) (parts []string) {
	p := &printer{Paint: paint, width: width, statement: min(statementWidth, width-len(noteIndent)-2-outcomeWidth)}
	end := func() {
		parts = append(parts, p.b.String())
		p.b.Reset()
	}
	p.wrap("", p.Bold(s.Name+": "+s.Title))
	for i, act := range s.Acts {
		p.act(i+1, act)
		end()
	}
	p.line("")
	if s.Error != nil {
		p.wrap("", p.Red("Not as expected: ")+*s.Error)
	} else {
		p.wrap("", p.Bold("Why: ")+s.Why)
		p.wrap("", p.Bold("Cure: ")+s.Cure)
	}
	p.line(p.Bold("See: ") + strings.Join(s.Links, "\n     "))
	end()
	return parts
}

type printer struct {
	screen.Paint
	b                strings.Builder
	width, statement int // in columns: of a line, and of the statements
}

func (p *printer) line(s string) { p.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *printer) wrap(indent, s string) { p.b.WriteString(screen.Wrap(p.width, indent, indent, s)) }

func (p *printer) act(n int, a Act) {
	p.line("")
	p.wrap("", p.Bold(fmt.Sprintf("%d. %s", n, a.Title)))
	p.line("   journal mode " + a.JournalMode)
	for _, r := range a.Actors {
		timeout := time.Duration(r.BusyTimeoutMS) * time.Millisecond
		p.line(fmt.Sprintf("   %s: process %d, busy timeout %s", r.Name, r.PID, timeout))
	}
	p.line(p.Underline(fmt.Sprintf("%6s  %-5s  %-*s  %-*s", "ms", "who", p.statement, "does", outcomeWidth, "SQLite says")))
	for _, e := range a.Steps {
		p.step(e)
	}
}

func (p *printer) step(e Step) {
	statement := e.Text
	if e.Kind == kindEnded {
		statement = "... " + statement
	}
	who := fmt.Sprintf("%6.0f  %-5s  ", e.AtMS, e.Actor)
	does := fmt.Sprintf("%s%-*s", who, p.statement, statement)
	outcome := p.outcome(e)
	if text.StringWidthWithoutEscSequences(does+"  "+outcome) > p.width {
		p.b.WriteString(p.Wrap(who, noteIndent+"  ", statement))
		does = strings.Repeat(" ", len(noteIndent)+p.statement)
	}
	p.line(does + "  " + outcome)
	if e.Message != nil {
		p.wrap(noteIndent, p.Red(strconv.Quote(*e.Message)))
	}
	if e.Note != "" {
		p.wrap(noteIndent, p.Faint("-- "+e.Note))
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
