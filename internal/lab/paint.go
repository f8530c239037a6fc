package lab

// Colour, where there is any.

type paint bool

func (p paint) in(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string  { return p.in("1", s) }
func (p paint) bad(s string) string   { return p.in("31", s) }
func (p paint) quiet(s string) string { return p.in("2", s) }

func (p paint) head(s string) string { return "\n" + p.bold(s) + "\n\n" }
