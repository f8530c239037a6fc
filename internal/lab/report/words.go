package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/screen"
)

func thousands(n int) string { return humanize.Comma(int64(n)) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// figure formats a positive number with its significant digits: 0.25, 4.6, 57,
// 5,031.
func figure(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f < 1:
		return fmt.Sprintf("%.2f", f)
	case f < 10:
		return fmt.Sprintf("%.1f", f)
	}
	return thousands(int(math.Round(f)))
}

func optionalFigure(f *float64) string {
	if f == nil {
		return "-"
	}
	return figure(*f)
}

// roundTime formats a measured time: 0.25 ms, 63 ms, 0.50 s, 5.0 s.
func roundTime(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	if ms < 100 {
		return figure(ms) + " ms"
	}
	return figure(ms/1000) + " s"
}

func roundMillis(ms float64) string { return roundTime(time.Duration(ms * float64(time.Millisecond))) }

func roundSeconds(s float64) string { return roundMillis(1000 * s) }

// exactTime formats a time that was set: 20 ms, 3 s, 1m30s.
func exactTime(d time.Duration) string {
	s := d.String()
	for _, unit := range []string{"µs", "ms", "s"} {
		if n, ok := strings.CutSuffix(s, unit); ok && strings.Trim(n, "0123456789.") == "" {
			return n + " " + unit
		}
	}
	return s
}

// occurrences formats a number of times: once, 3 times.
func occurrences(n int) string {
	if n == 1 {
		return "once"
	}
	return thousands(n) + " times"
}

// multiple formats a ratio: 4.5 times, 12 times.
func multiple(ratio float64) string { return figure(ratio) + " times" }

// joinNames joins names: a, b and c.
func joinNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// valueOf returns the number, or 0 for none.
func valueOf(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

func capitalize(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// indent indents every line by two columns, and trims blanks from their ends.
func indent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight("  "+lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// isBusy says whether a code is SQLITE_BUSY or an extended code of its family.
func isBusy(code int) bool { return code&0xff == 5 }

func heading(p screen.Paint, s string) string { return "\n" + p.Bold(s) + "\n\n" }
