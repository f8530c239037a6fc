// Package screen writes text for a terminal: in colour, and in lines that fit its
// width.
package screen

import (
	"regexp"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Paint is how text is written for a person: with ANSI codes or without, in so many
// columns.
type Paint struct {
	Colour  bool
	Columns int // 0: not a terminal, and means 100; more are not used, because long lines are hard to read
}

const (
	maxWidth = 100
	minWidth = 60
)

// Width returns the columns to write in.
func (p Paint) Width() int {
	if p.Columns == 0 {
		return maxWidth
	}
	return max(minWidth, min(maxWidth, p.Columns))
}

// Narrower leaves columns for an indent.
func (p Paint) Narrower(columns int) Paint { return Paint{p.Colour, p.Width() - columns} }

// Bold marks headings.
func (p Paint) Bold(s string) string { return p.code("1", s) }

// Faint marks remarks.
func (p Paint) Faint(s string) string { return p.code("2", s) }

// Underline marks the heads of columns.
func (p Paint) Underline(s string) string { return p.code("4", s) }

// Red marks what failed or blocks others.
func (p Paint) Red(s string) string { return p.code("31", s) }

// Green marks what is well.
func (p Paint) Green(s string) string { return p.code("32", s) }

// Yellow marks what may become a problem.
func (p Paint) Yellow(s string) string { return p.code("33", s) }

func (p Paint) code(code, s string) string {
	if !p.Colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Wrap is [Wrap] with the width of p.
func (p Paint) Wrap(first, rest, s string) string { return Wrap(p.Width(), first, rest, s) }

// Fit is Wrap on a terminal. Elsewhere the text stays one line, for grep.
func (p Paint) Fit(first, rest, s string) string {
	if p.Columns == 0 {
		return first + s + "\n"
	}
	return p.Wrap(first, rest, s)
}

// Space is a space at which Wrap never ends a line.
const Space = "\u00a0"

// Wrap breaks a text into lines of at most columns, the first one after the indent
// first, the others after the indent rest. Escape sequences take no columns. Words
// stay whole, and so does what a reader would copy, if it fits a line: a number with
// its unit, a command with its flags.
func Wrap(columns int, first, rest, s string) string {
	var b strings.Builder
	indent, line := first, ""
	end := func() { b.WriteString(strings.TrimRight(indent+line, " "+Space) + "\n") }
	add := func(part string) {
		switch {
		case line == "":
			line = part
		case width(indent)+width(line)+1+width(strings.TrimRight(part, Space)) <= columns:
			line += " " + part
		default:
			end()
			indent, line = rest, part
		}
	}
	for _, part := range parts(strings.TrimSpace(s)) {
		if width(rest)+width(part) <= columns {
			add(part)
			continue
		}
		for _, word := range strings.Split(part, " ") {
			add(word)
		}
	}
	end()
	return strings.ReplaceAll(b.String(), Space, " ")
}

func width(s string) int { return text.StringWidthWithoutEscSequences(s) }

// parts splits a text at the spaces at which a line may end.
func parts(s string) []string {
	words := strings.Split(s, " ")
	all := words[:1:1]
	for i, word := range words[1:] {
		kept := strings.Split(words[i], Space)
		if last := &all[len(all)-1]; together(kept[len(kept)-1], word) {
			*last += " " + word
		} else {
			all = append(all, word)
		}
	}
	return all
}

var (
	number   = regexp.MustCompile(`\d$`)
	unit     = regexp.MustCompile(`^(ms|s|%|rows/s|[KMGT]iB)\b|^%`)
	program  = regexp.MustCompile(`^\W?(go|docker|docker-compose|kill|nats|sqlite3)$|^\W?\./`)
	flag     = regexp.MustCompile(`^-{1,2}[A-Za-z]`)
	bare     = regexp.MustCompile(`^-{1,2}[A-Za-z][\w-]*$`) // its value follows
	variable = regexp.MustCompile(`^[A-Z]+_[A-Z_]+=\S*\w$`)
	open     = regexp.MustCompile(`[\w/'"]$`) // no sentence or clause ends here
)

// together reports whether two adjacent words stay on one line.
func together(a, b string) bool {
	switch {
	case number.MatchString(a) && unit.MatchString(b):
		return true
	case a == "run" && strings.HasPrefix(b, "./"):
		return true
	case flag.MatchString(b):
		return open.MatchString(a)
	}
	return bare.MatchString(a) || variable.MatchString(a) || program.MatchString(a)
}
