package lab

// A small trial told row by row: a line of time for each process, and a
// sentence for each row.

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	waits  = '·'
	holds  = '█'
	works  = '▒'
	frees  = '▌' // the end of a hold, so that two of them don't look like one
	refuse = '✗'
)

const timeColumns = 80

// timeline draws who waited, who held the lock and who worked without it.
func timeline(t Trial, p paint) string {
	var end time.Duration
	for _, tale := range t.Story {
		for _, r := range tale.Records {
			end = max(end, r.End)
		}
	}
	if end == 0 {
		return ""
	}
	column := func(at time.Duration) int { return int(int64(at) * (timeColumns - 1) / int64(end)) }
	var b strings.Builder
	b.WriteString("          " + ruler(end, column) + "\n")
	seen := map[rune]bool{}
	for _, tale := range t.Story {
		line := []rune(strings.Repeat(" ", timeColumns))
		for _, r := range tale.Records {
			draw(line, r, column)
		}
		for _, r := range tale.Records {
			if r.Code != 0 { // over the row that came after it
				line[column(r.End)] = refuse
			}
		}
		for _, c := range line {
			seen[c] = true
		}
		fmt.Fprintf(&b, "  %-6s  %s\n", tale.Process, coloured(strings.TrimRight(string(line), " "), p))
	}
	return b.String() + legend(t, seen, p)
}

// draw puts a record on the line. What takes less than a column is drawn in
// one: a lock that was held for a moment was held.
func draw(line []rune, r Record, column func(time.Duration) int) {
	fill := func(from, to time.Duration, c rune) {
		for i := column(from); i <= column(to); i++ {
			line[i] = c
		}
	}
	asked := r.Want
	if asked < 0 {
		asked = r.End
	}
	if r.Got < 0 && r.Task > 0 || r.Got >= 0 && asked-r.Ready > time.Millisecond {
		fill(r.Ready, asked, works)
	}
	switch {
	case r.Got < 0 && r.Want >= 0:
		fill(r.Want, r.End, waits)
	case r.Got >= 0:
		fill(r.Want, r.Got, waits)
		fill(r.Got, r.End, holds)
		if r.Done() && column(r.End) > column(r.Got) {
			line[column(r.End)] = frees
		}
	}
}

func coloured(s string, p paint) string {
	s = strings.ReplaceAll(s, string(refuse), p.bad(string(refuse)))
	return strings.ReplaceAll(s, string(waits), p.quiet(string(waits)))
}

// ruler is the line of times: at most five, at round figures.
func ruler(end time.Duration, column func(time.Duration) int) string {
	step := roundStep(end / 4)
	line := []rune(strings.Repeat(" ", timeColumns+8))
	for at := time.Duration(0); at <= end; at += step {
		copy(line[column(at):], []rune("|"+at.String()))
	}
	return strings.TrimRight(string(line), " ")
}

func roundStep(least time.Duration) time.Duration {
	for unit := time.Microsecond; ; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if n*unit >= least {
				return n * unit
			}
		}
	}
}

func legend(t Trial, seen map[rune]bool, p paint) string {
	waitsFor := "waits for the lock"
	if find(t.Strategy).Queue.writer() {
		waitsFor = "waits for the queue"
	}
	var l []string
	for _, s := range []struct {
		sign rune
		text string
	}{{works, "works"}, {waits, waitsFor}, {holds, "has the lock"}, {refuse, "locked out"}} {
		if seen[s.sign] {
			l = append(l, string(s.sign)+" "+s.text)
		}
	}
	return "          " + p.quiet(strings.Join(l, "   ")) + "\n"
}

// tale tells every row of every process.
func tale(t Trial, p paint) string {
	var b strings.Builder
	for _, s := range t.Story {
		if s.Process == "writer" {
			continue
		}
		for _, r := range s.Records {
			row := fmt.Sprintf("%s row %d", s.Process, r.First+1)
			b.WriteString(wrap(fmt.Sprintf("  %-12s", row), strings.Repeat(" ", 14), ending(t, s.Process, r, p)))
		}
	}
	return b.String() + testimony(t)
}

// testimony is what the system's table of locks has to say of the refusals:
// who was seen with which lock, and how often.
func testimony(t Trial) string {
	var who []string
	n := map[string]int{}
	for _, l := range t.Lockouts {
		if l.Seen == nil {
			continue
		}
		s := fmt.Sprintf("%s (process %d, %s lock)", l.Seen.Process, l.Seen.PID, l.Seen.Lock)
		if n[s]++; n[s] == 1 {
			who = append(who, s)
		}
	}
	if len(who) == 0 {
		return ""
	}
	slices.SortStableFunc(who, func(a, b string) int { return n[b] - n[a] })
	var said []string
	for _, s := range who[:min(3, len(who))] {
		said = append(said, fmt.Sprintf("%s in %d of %d refusals", s, n[s], len(t.Lockouts)))
	}
	return wrap("  ", "  ", "Seen from outside, in the system's table of locks, the lock was with "+and(said)+".")
}

func ending(t Trial, process string, r Record, p paint) string {
	strategy := find(t.Strategy)
	row := r.First + 1
	switch {
	case r.Unfinished:
		return "was still waiting after " + clock(r.Wait()) + " when time was up"
	case r.Code&0xff == busy:
		i := slices.IndexFunc(t.Lockouts, func(l Lockout) bool { return l.Process == process && l.Row == row })
		by := ""
		if i >= 0 {
			by = blames(t.Lockouts[i].By)
		}
		return fmt.Sprintf("waited %s%s, then gave up: %s", clock(r.End-r.Want), by, p.bad(errorText(r.Code)))
	case r.Code != 0:
		return "failed: " + p.bad(errorText(r.Code))
	case strategy.Queue == ToQueue:
		return fmt.Sprintf("worked %s, was on the queue's disk %s later", clock(r.Task), clock(r.End-r.Want))
	case strategy.Queue == Request:
		return fmt.Sprintf("worked %s, was in the table %s later", clock(r.Task), clock(r.End-r.Want))
	}
	return fmt.Sprintf("waited %s for the lock, held it for %s, committed", clock(r.Got-r.Want), clock(r.Held()))
}

// blames says who held the lock meanwhile.
func blames(by []Blame) string {
	if len(by) == 0 {
		return ""
	}
	var who []string
	for _, b := range by[:min(3, len(by))] {
		turns := ""
		if b.Turns > 1 {
			turns = fmt.Sprintf(" in %d turns", b.Turns)
		}
		who = append(who, fmt.Sprintf("%s for %s%s", b.Process, clock(b.Held), turns))
	}
	return " while the lock was with " + and(who)
}

// lockedOut sums up the refusals of a trial that is too large to be told row
// by row: for each process how often, and its longest wait.
func lockedOut(t Trial, p paint) string {
	const most = 8
	var lines []string
	for _, s := range t.Shares {
		i := slices.IndexFunc(t.Lockouts, func(l Lockout) bool { return l.Process == s.Process })
		if s.Refused == 0 || i < 0 {
			continue
		}
		l := t.Lockouts[i]
		lines = append(lines, wrap(fmt.Sprintf("  %-5s", s.Process), "       ", fmt.Sprintf("locked out %s; row %d waited %s%s",
			howOften(s.Refused), l.Row, clock(l.Waited), blames(l.By))))
	}
	if len(lines) == 0 {
		return ""
	}
	b := "\n  " + p.bold(t.Strategy) + ": " + p.bad(errorText(t.Lockouts[0].Code)) + "\n" + strings.Join(lines[:min(most, len(lines))], "")
	if len(lines) > most {
		b += fmt.Sprintf("  and %s more\n", count(len(lines)-most, "process", "processes"))
	}
	return b + testimony(t)
}

// command shows what to type, broken where it is too long.
func command(c string) string { return "    " + strings.Join(breakCommand(c), " \\\n      ") + "\n" }

func breakCommand(c string) []string {
	flags := strings.Split(c, " --") // each with its value
	lines := flags[:1]
	for _, f := range flags[1:] {
		if last := &lines[len(lines)-1]; len(*last)+len(f) > width-12 {
			lines = append(lines, "--"+f)
		} else {
			*last += " --" + f
		}
	}
	return lines
}
