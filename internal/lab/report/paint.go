package report

// Paint colours text with ANSI codes where it is true, and leaves it alone
// elsewhere.
type Paint bool

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
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
