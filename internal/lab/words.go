package lab

// Numbers and lists as a person reads them.

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"
)

const width = 100 // of the text report, in columns

func thousands(n int64) string { return humanize.Comma(n) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// figure shows a positive number with the digits that mean something: 0.25,
// 4.6, 57, 5,031.
func figure(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f < 1:
		return fmt.Sprintf("%.2f", f)
	case f < 10:
		return fmt.Sprintf("%.1f", f)
	}
	return thousands(int64(math.Round(f)))
}

func optional(f *float64) string {
	if f == nil {
		return "-"
	}
	return figure(*f)
}

// clock shows a time as one says it: 0.25 ms, 63 ms, 0.50 s, 5.0 s.
func clock(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	if ms < 100 {
		return figure(ms) + " ms"
	}
	return figure(ms/1000) + " s"
}

func clockMillis(ms float64) string { return clock(time.Duration(ms * float64(time.Millisecond))) }

// exact shows a time that was set: 20 ms, 3 s, 1m30s.
func exact(d time.Duration) string {
	s := d.String()
	for _, unit := range []string{"µs", "ms", "s"} {
		if n, ok := strings.CutSuffix(s, unit); ok && strings.Trim(n, "0123456789.") == "" {
			return n + " " + unit
		}
	}
	return s
}

// howOften is for a person: once, 3 times.
func howOften(n int) string {
	if n == 1 {
		return "once"
	}
	return thousands(int64(n)) + " times"
}

// are is the verb for some of many.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// times shows a ratio: 4.5 times, 12 times.
func times(ratio float64) string { return figure(ratio) + " times" }

// and joins names: a, b and c.
func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// wrap breaks a text at words into lines below the width, the first after one
// indent, the others after another of the same length.
func wrap(first, rest, s string) string {
	var b strings.Builder
	line, indent := first, true
	for word := range strings.FieldsSeq(s) {
		if !indent && text.StringWidthWithoutEscSequences(line)+1+text.StringWidthWithoutEscSequences(word) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, indent = rest, true
		}
		if !indent {
			line += " "
		}
		line, indent = line+word, false
	}
	b.WriteString(line + "\n")
	return b.String()
}
