package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"turnstile/internal/screen"
)

const (
	waitMark  = '·'
	holdMark  = '█'
	taskMark  = '▒'
	endMark   = '▌' // the end of a hold, so that two of them don't look like one
	errorMark = '✗'
)

// timelineMargin is what the names take before the time line, and the last time
// after it.
const timelineMargin = 20

// shownEvents is how many events a trial may have to be shown row by row.
const shownEvents = 48

// shown returns the lanes of a trial that is small enough to be shown row by
// row, else nil.
func (t Trial) shown() []Lane {
	if t.Recording == nil || t.Processes > 8 {
		return nil
	}
	if n := t.Recording.count(); n == 0 || n > shownEvents {
		return nil
	}
	return t.Recording.Lanes
}

// timeline draws for each process when it waited, held the lock, or worked
// without it.
func timeline(t Trial, p screen.Paint) string {
	var end time.Duration
	for _, lane := range t.shown() {
		for _, e := range lane.Events {
			end = max(end, e.End)
		}
	}
	if end == 0 {
		return ""
	}
	columns := p.Width() - timelineMargin
	column := func(at time.Duration) int { return int(float64(at) / float64(end) * float64(columns-1)) }
	var b strings.Builder
	b.WriteString("          " + ruler(end, columns, column) + "\n")
	drawn := map[rune]bool{}
	for _, lane := range t.shown() {
		line := []rune(strings.Repeat(" ", columns))
		var last time.Duration
		for _, e := range lane.Events {
			draw(line, e, last, column)
			last = e.End
		}
		for _, e := range lane.Events {
			if e.Code != 0 { // over the row that came after it
				line[column(e.End)] = errorMark
			}
		}
		for _, mark := range line {
			drawn[mark] = true
		}
		s := strings.TrimRight(string(line), " ")
		s = strings.ReplaceAll(s, string(errorMark), p.Red(string(errorMark)))
		s = strings.ReplaceAll(s, string(waitMark), p.Faint(string(waitMark)))
		fmt.Fprintf(&b, "  %-6s  %s\n", lane.Process, s)
	}
	return b.String() + timelineLegend(t, drawn, p)
}

// draw puts an event on the line, after one that ended at last. What takes less than a column is drawn in
// one: a lock that was held for a moment was held.
func draw(line []rune, e Event, last time.Duration, column func(time.Duration) int) {
	fill := func(from, to time.Duration, mark rune) {
		for i := column(from); i <= column(to); i++ {
			line[i] = mark
		}
	}
	if from, to := e.worksOutside(last); to > from {
		fill(from, to, taskMark)
	}
	if from, to := e.LockWait(); to > from {
		fill(from, to, waitMark)
	}
	if from, to := e.Hold(); to > from {
		fill(from, to, holdMark)
		if !e.Unfinished && column(to) > column(from) {
			line[column(to)] = endMark
		}
	}
}

// ruler is the line of times: at most five, at round figures.
func ruler(end time.Duration, columns int, column func(time.Duration) int) string {
	step := roundStep(end / 4)
	line := []rune(strings.Repeat(" ", columns+8))
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

func timelineLegend(t Trial, drawn map[rune]bool, p screen.Paint) string {
	waits := map[string]string{
		WaitsForLock: "waits for the lock", WaitsForTurn: "waits for its turn",
		WaitsForQueue: "waits for the queue", WaitsForCommit: "waits for the commit",
	}[waitsFor(t.Strategy, false)]
	var entries []string
	for _, mark := range []struct {
		sign rune
		text string
	}{{taskMark, "works"}, {waitMark, waits}, {holdMark, "holds the lock"}, {errorMark, "SQLITE_BUSY or another error"}} {
		if drawn[mark.sign] {
			entries = append(entries, strings.ReplaceAll(string(mark.sign)+" "+mark.text, " ", screen.Space))
		}
	}
	margin := strings.Repeat(" ", 10)
	return p.Wrap(margin, margin, p.Faint(strings.Join(entries, screen.Space+screen.Space+" ")))
}

// eventSentences tells the end of every row of every process.
func eventSentences(t Trial, p screen.Paint) string {
	var b strings.Builder
	for _, lane := range t.shown() {
		if lane.Process == WriterName {
			continue
		}
		for _, e := range lane.Events {
			row := fmt.Sprintf("%s row %d", lane.Process, e.First+1)
			b.WriteString(p.Wrap(fmt.Sprintf("  %-12s", row), strings.Repeat(" ", 14), eventSentence(t, lane.Process, e, p)))
		}
	}
	return b.String() + observedHolders(t, p)
}

func eventSentence(t Trial, process string, e Event, p screen.Paint) string {
	queue := Find(t.Strategy).Queue
	row := e.First + 1
	switch {
	case e.Unfinished:
		return unfinishedSentence(t, e)
	case isBusy(e.Code):
		i := slices.IndexFunc(t.Busy, func(b BusyWait) bool { return b.Process == process && b.Row == row })
		who := ""
		if i >= 0 {
			who = heldMeanwhile(t.Busy[i])
		}
		return fmt.Sprintf("waited %s%s, then failed: %s", roundTime(e.End-e.Wants), who, p.Red(CodeText(e.Code)))
	case e.Code != 0:
		return "failed: " + p.Red(CodeText(e.Code))
	case queue == ToQueue:
		return fmt.Sprintf("worked %s, was on the queue's disk %s later", roundTime(e.Task), roundTime(e.End-e.Wants))
	case queue == Request:
		return fmt.Sprintf("worked %s, was in the table %s later", roundTime(e.Task), roundTime(e.End-e.Wants))
	}
	if Find(t.Strategy).Turns {
		return fmt.Sprintf("waited %s for its turn, held the lock for %s, committed", roundTime(e.Begun-e.Wants), roundTime(e.Held()))
	}
	return fmt.Sprintf("waited %s for the lock, held it for %s, committed", roundTime(e.Begun-e.Wants), roundTime(e.Held()))
}

// unfinishedSentence says what a process did when its time was up.
func unfinishedSentence(t Trial, e Event) string {
	when := "when time was up"
	if t.Interrupted {
		when = "when the run was interrupted"
	}
	switch {
	case e.Wants < 0:
		return "was working " + when
	case e.Begun >= 0:
		return fmt.Sprintf("had held the lock for %s %s", roundTime(e.Held()), when)
	}
	return fmt.Sprintf("had waited %s for the %s %s", roundTime(e.End-e.Wants), waitsFor(t.Strategy, false), when)
}

// observedHolders says what the lock observer saw while processes waited: who
// held which lock, and how often.
func observedHolders(t Trial, p screen.Paint) string {
	var who []string
	n := map[string]int{}
	for _, b := range t.Busy {
		if b.Observed == nil {
			continue
		}
		s := fmt.Sprintf("%s (process %d, %s lock)", b.Observed.Process, b.Observed.PID, b.Observed.Lock)
		if n[s]++; n[s] == 1 {
			who = append(who, s)
		}
	}
	if len(who) == 0 {
		return ""
	}
	slices.SortStableFunc(who, func(a, b string) int { return n[b] - n[a] })
	var parts []string
	for _, s := range who[:min(3, len(who))] {
		parts = append(parts, fmt.Sprintf("%s in %d of %d waits", s, n[s], len(t.Busy)))
	}
	return p.Wrap("  ", "  ", "The holder that the operating system's table of locks showed: "+joinNames(parts)+".")
}

// busySummary sums up the SQLITE_BUSY errors of a trial that is too large to be
// told row by row: for each process how many, and its longest wait.
func busySummary(t Trial, p screen.Paint) string {
	const most = 8
	var lines []string
	for _, r := range t.Processed {
		i := slices.IndexFunc(t.Busy, func(b BusyWait) bool { return b.Process == r.Process })
		if r.Busy == 0 || i < 0 {
			continue
		}
		b := t.Busy[i]
		lines = append(lines, p.Wrap(fmt.Sprintf("  %-5s", r.Process), "       ", fmt.Sprintf("%s; row %d waited %s%s",
			occurrences(r.Busy), b.Row, roundTime(b.Waited), heldMeanwhile(b))))
	}
	if len(lines) == 0 {
		return ""
	}
	s := "\n  " + p.Bold(t.Strategy) + ": " + p.Red(CodeText(t.Busy[0].Code)) + "\n" + strings.Join(lines[:min(most, len(lines))], "")
	if len(lines) > most {
		s += fmt.Sprintf("  and %s more\n", count(len(lines)-most, "process", "processes"))
	}
	return s + observedHolders(t, p)
}
