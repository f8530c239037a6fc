package report

// Text of a recording of watch: who held which lock at a given time.

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"turnstile/internal/screen"
)

// maxListed is how many holds the text lists if no time is asked for.
const maxListed = 30

// laneHold is an event of a lane.
type laneHold struct {
	lane *Lane
	Event
}

func (h laneHold) who() string {
	if h.lane.Command == "" {
		return "process " + h.lane.Process
	}
	return fmt.Sprintf("%d %s", h.lane.PID, h.lane.Command)
}

// Text writes who held which lock: the totals of each process, and the longest
// holds. With a period it writes all holds that fall into it.
func (r *Recording) Text(w io.Writer, paint screen.Paint, p *Period) error {
	var b strings.Builder
	end := r.end()
	b.WriteString(paint.Fit("", "", fmt.Sprintf("%s, %s to %s", paint.Bold(r.Title), r.clock(0, "2006-01-02 15:04:05"), r.clock(end, "2006-01-02 15:04:05"))))
	for _, n := range r.Notes {
		if n.Process == "" && (p == nil || p.contains(r.Zero.Add(n.At), r.Zero.Add(n.At))) {
			b.WriteString(paint.Fit(r.clock(n.At, "15:04:05")+"  ", "          ", n.Text))
		}
	}
	var holds []laneHold
	for i := range r.Lanes {
		for _, e := range r.Lanes[i].Events {
			from, to := e.Hold()
			if e.Begun >= 0 && (p == nil || p.contains(r.Zero.Add(from), r.Zero.Add(to))) {
				holds = append(holds, laneHold{&r.Lanes[i], e})
			}
		}
	}
	switch {
	case len(holds) == 0 && p != nil && !p.contains(r.Zero, r.Zero.Add(end)):
		fmt.Fprintf(&b, "\nThe recording has nothing of %s.\n", p)
	case len(holds) == 0 && p != nil:
		fmt.Fprintf(&b, "\nNobody was seen with a lock in %s.\n", p)
	case len(holds) == 0:
		b.WriteString("\nNo lock was seen.\n")
	case p == nil:
		writeTotals(&b, holds, end, paint)
		r.writeLongest(&b, holds, paint)
	default:
		fmt.Fprintf(&b, "\nHolds in %s:\n", p)
		r.listHolds(&b, holds, paint)
	}
	if d := r.Dropped; d != nil {
		b.WriteString("\n" + paint.Wrap("", "", fmt.Sprintf("Of %s events the recording has all that ended in the first %s, and of the later ones the %s with the longest waits.",
			thousands(d.Events), roundTime(d.Until), thousands(d.Waits))))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// clock formats a moment of the recording as local time.
func (r *Recording) clock(at time.Duration, layout string) string {
	return r.Zero.Add(at).Local().Format(layout)
}

func writeTotals(b *strings.Builder, holds []laneHold, whole time.Duration, paint screen.Paint) {
	type total struct {
		name         string
		lock         string
		holds        int
		sum, longest time.Duration
		lane         *Lane
	}
	var totals []total
	for _, h := range holds {
		i := slices.IndexFunc(totals, func(t total) bool { return t.lane == h.lane })
		if i < 0 {
			i = len(totals)
			totals = append(totals, total{name: h.who(), lock: h.Lock, lane: h.lane})
		}
		t := &totals[i]
		t.holds++
		t.sum += h.Held()
		t.longest = max(t.longest, h.Held())
	}
	slices.SortStableFunc(totals, func(a, b total) int { return cmp.Compare(b.sum, a.sum) })
	b.WriteString("\n")
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "lock\tof the time\tholds\tlongest\tprocess\n")
	for _, o := range totals[:min(maxListed, len(totals))] {
		fmt.Fprintf(t, "%s\t%.1f %%\t%d\t%s\t%s\n", o.lock, 100*o.sum.Seconds()/max(whole.Seconds(), 1e-9), o.holds, holdLength(o.longest), o.name)
	}
	t.Flush() // into a strings.Builder, which takes everything
	last := strings.Repeat(" ", 2+strings.Index(table.String(), "process"))
	for row := range strings.Lines(table.String()) {
		b.WriteString(paint.Fit("  ", last, strings.TrimSuffix(row, "\n")))
	}
}

func (r *Recording) writeLongest(b *strings.Builder, holds []laneHold, paint screen.Paint) {
	title := "All holds"
	if len(holds) > maxListed {
		slices.SortStableFunc(holds, func(a, b laneHold) int { return cmp.Compare(b.Held(), a.Held()) })
		holds = holds[:maxListed]
		title = fmt.Sprintf("The %d longest holds", maxListed)
	}
	fmt.Fprintf(b, "\n%s, in order of time:\n", title)
	r.listHolds(b, holds, paint)
}

// listHolds lists holds in order of time, each with what was noted about it.
func (r *Recording) listHolds(b *strings.Builder, holds []laneHold, paint screen.Paint) {
	slices.SortStableFunc(holds, func(a, b laneHold) int { return cmp.Compare(a.Begun, b.Begun) })
	day := ""
	for _, h := range holds {
		from, to := h.Hold()
		if d := r.clock(from, "2006-01-02"); d != day {
			day = d
			fmt.Fprintf(b, "  %s\n", day)
		}
		length := "for " + holdLength(h.Held())
		if h.Unfinished {
			length += " or more"
		}
		b.WriteString(paint.Fit("  "+r.clock(from, "15:04:05.000")+"  ", "                ", fmt.Sprintf("%s %s: %s", h.Lock, length, h.who())))
		for _, n := range r.Notes {
			if n.Process == h.lane.Process && n.Kind != "alert" && n.At >= from && n.At <= to+time.Second {
				b.WriteString(paint.Fit("                ", "                  ", n.Text))
			}
		}
	}
}

func holdLength(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Period is a stretch of time that a user asks for.
type Period struct {
	text     string
	from, to time.Time     // if daily is false
	daily    bool          // the same time on every day
	start    time.Duration // since midnight, if daily
	length   time.Duration
}

// ParsePeriod reads a local time: "03:12" is that minute and "03:12:07" that
// second of every day; "2026-11-25 03:12" is a minute of one day.
func ParsePeriod(s string) (Period, error) {
	for _, l := range []struct {
		layout string
		daily  bool
		length time.Duration
	}{
		{"15:04", true, time.Minute},
		{"15:04:05", true, time.Second},
		{"2006-01-02 15:04", false, time.Minute},
		{"2006-01-02 15:04:05", false, time.Second},
	} {
		t, err := time.ParseInLocation(l.layout, s, time.Local)
		if err != nil {
			continue
		}
		p := Period{text: s, daily: l.daily, length: l.length, from: t, to: t.Add(l.length)}
		p.start = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
		return p, nil
	}
	return Period{}, fmt.Errorf("report: %q is not a time", s)
}

func (p *Period) String() string { return p.text }

// contains reports whether a stretch of time has a part in the period.
func (p *Period) contains(from, to time.Time) bool {
	if !p.daily {
		return from.Before(p.to) && !to.Before(p.from)
	}
	local := from.Local()
	// The first such time of day that is not over when the stretch begins.
	at := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.Local).Add(p.start)
	if !at.Add(p.length).After(from) {
		at = at.AddDate(0, 0, 1)
	}
	return !at.After(to)
}
