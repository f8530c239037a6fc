package scene

// The story as text, for a person at a terminal.

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	lineWide = 98 // a terminal of 100 columns shows it
	whatWide = 46 // of the column of statements
	saysWide = 33 // of the column of what SQLite says
	notes    = "               "
)

// WriteText writes the story for a person.
func (s Story) WriteText(w io.Writer, colour bool) error {
	return s.writeText(w, colour, lineWide)
}

func (s Story) writeText(w io.Writer, colour bool, wide int) error {
	p := &printer{colour: colour, wide: wide}
	p.line(p.paint(text.Bold, s.Name+": "+s.Title))
	for i, act := range s.Acts {
		p.act(i+1, act)
	}
	if s.Error != nil {
		p.line("")
		p.paragraph(p.paint(text.FgRed, "It came out otherwise: "), *s.Error)
	} else {
		p.line("")
		p.paragraph(p.paint(text.Bold, "Why: "), s.Why)
		p.paragraph(p.paint(text.Bold, "Cure: "), s.Cure)
	}
	p.line(p.paint(text.Bold, "See: ") + strings.Join(s.Links, "\n     "))
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b      strings.Builder
	colour bool
	wide   int
}

func (p *printer) line(s string) { p.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *printer) paint(c text.Color, s string) string {
	if !p.colour {
		return s
	}
	// EscapeSeq, because Sprint asks the whole process whether it has colour.
	return c.EscapeSeq() + s + text.Reset.EscapeSeq()
}

func (p *printer) paragraph(head, s string) {
	for l := range strings.Lines(text.WrapSoft(head+s, p.wide)) {
		p.line(strings.TrimRight(l, "\n"))
	}
}

func (p *printer) act(n int, a Act) {
	p.line("")
	p.line(p.paint(text.Bold, fmt.Sprintf("%d. %s", n, a.Title)))
	p.line("   journal mode " + a.JournalMode)
	for _, r := range a.Cast {
		timeout := time.Duration(r.BusyTimeoutMS) * time.Millisecond
		p.line(fmt.Sprintf("   %s: process %d, busy timeout %s", r.Actor, r.PID, timeout))
	}
	p.line(p.paint(text.Underline, fmt.Sprintf("%6s  %-5s  %-*s  %-*s", "ms", "who", whatWide, "does", saysWide, "SQLite says")))
	for _, e := range a.Events {
		p.event(e)
	}
}

func (p *printer) event(e Event) {
	what := e.Text
	if e.Kind == kindEnded {
		what = "... " + what
	}
	p.line(fmt.Sprintf("%6.0f  %-5s  %-*s  %s", e.AtMS, e.Actor, whatWide, what, p.outcome(e)))
	if e.Message != nil {
		p.line(notes + p.paint(text.FgRed, strconv.Quote(*e.Message)))
	}
	if e.Note != "" {
		p.line(notes + p.paint(text.Faint, "-- "+e.Note))
	}
}

// outcome is what SQLite says, in few words, and how long it took to say it,
// where that matters.
func (p *printer) outcome(e Event) string {
	refused := e.Code != nil && *e.Code != 0
	said := "ok"
	switch {
	case e.Kind == kindStarted:
		return "waits"
	case refused:
		said = fmt.Sprintf("%d %s", *e.Code, *e.CodeName)
	case e.Result != nil:
		said = *e.Result
	case e.Kind == kindShell:
		return "" // SQLite has no say in it
	}
	switch {
	case e.AtOnce:
		said += " at once"
	case refused || e.Kind == kindEnded:
		said += fmt.Sprintf(" after %.0f ms", *e.WaitedMS)
	}
	if refused {
		said = p.paint(text.FgRed, said)
	}
	return said
}
