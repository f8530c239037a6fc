package main

// What contention watch tells a person: not only which lock, but what it means
// for everyone else, and what to do.

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"turnstile/internal/locks"
)

// meaning says what a lock is to its holder and to the others.
var meaning = map[locks.Name]string{
	locks.Exclusive:  "is writing to the file: no one else can read or write",
	locks.Pending:    "wants to commit and waits for the readers to end: no one new gets in",
	locks.Reserved:   "is in a transaction that writes: others can read, none can write",
	locks.Shared:     "is in a transaction that reads: others can read, none can commit",
	locks.WALWrite:   "is in a transaction that writes: others can read, none can write",
	locks.WALRead:    "is in a transaction that reads: no one has to wait for it, but the WAL can't start anew",
	locks.Checkpoint: "copies the WAL into the file: others can read and write",
	locks.Recover:    "reads the WAL anew, as after a crash: everyone has to wait until it has",
}

var inWords = map[string]string{
	locks.WAL: "WAL mode", locks.Rollback: "rollback-journal mode", locks.Unknown: "an empty file, journal mode unknown",
}

func watchText(d watchDoc, colour bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s (%s): %s\n", d.File, d.At.Format("15:04:05.000"), inWords[d.Mode], headline(d, colour))
	for _, l := range d.Locks {
		fmt.Fprintf(&b, "\n  %s%s\n", who(l.PID, l.Command), state(d.stopped[l.PID]))
		fmt.Fprintf(&b, "    %s: %s\n", l.Lock, meaning[l.Lock])
		if l.SeenMS > 0 {
			fmt.Fprintf(&b, "    for %s at least\n", short(time.Duration(l.SeenMS)*time.Millisecond))
		}
	}
	if len(d.Open) > 0 {
		if slices.ContainsFunc(d.Locks, blocks) {
			b.WriteString("\nHave it open and hold nothing; they may be waiting (SQLite polls: a waiter leaves no trace):\n")
		} else {
			b.WriteString("\nHave it open and hold nothing:\n")
		}
		for _, p := range d.Open {
			fmt.Fprintf(&b, "  %s%s\n", who(p.PID, p.Command), state(d.stopped[p.PID]))
		}
	}
	if d.Note != "" {
		fmt.Fprintf(&b, "\nnote: %s\n", d.Note)
	}
	if a := advice(d); a != "" {
		fmt.Fprintf(&b, "hint: %s\n", a)
	}
	return b.String()
}

// blocks says whether someone may have to wait for this lock.
func blocks(l watchLock) bool { return l.Lock != locks.WALRead && l.Lock != locks.Checkpoint }

// headline says in a word how it stands.
func headline(d watchDoc, colour bool) string {
	paint := func(code, s string) string {
		if !colour {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	holds := func(want func(watchLock) bool) bool { return slices.ContainsFunc(d.Locks, want) }
	switch {
	case holds(func(l watchLock) bool { return l.Lock.Class() == locks.Write }):
		return paint("1;31", "locked for writing")
	case holds(func(l watchLock) bool { return l.Lock == locks.Recover }):
		return paint("1;31", "locked for recovery")
	case holds(func(l watchLock) bool { return l.Lock == locks.Shared }):
		return paint("33", "being read, so no one can commit")
	case holds(func(l watchLock) bool { return l.Lock == locks.Checkpoint }):
		return paint("32", "a checkpoint runs; open to readers and writers")
	case len(d.Locks) > 0:
		return paint("32", "being read; open to readers and writers")
	case !d.Visible:
		return paint("33", "no lock can be seen")
	}
	return paint("32", "not locked")
}

// advice is what to do about it.
func advice(d watchDoc) string {
	writer := slices.IndexFunc(d.Locks, func(l watchLock) bool { return l.Lock.Class() == locks.Write && l.PID > 0 })
	switch {
	case !d.Visible && len(d.Locks) == 0:
		return ""
	case len(d.Locks) == 0:
		return "a lock is often held for milliseconds only: contention watch FILE, without --once, sees those too"
	case writer >= 0 && d.stopped[d.Locks[writer].PID]:
		return fmt.Sprintf("kill -CONT %d lets it go on", d.Locks[writer].PID)
	case writer >= 0 && d.Locks[writer].Lock == locks.Pending:
		return "what it waits for is a reader: end the long transaction that reads, or use WAL mode, where readers are in no one's way"
	case writer >= 0:
		pid := d.Locks[writer].PID
		return fmt.Sprintf("if it stays: look where process %d works between its first write and COMMIT, and move that before BEGIN; "+
			"kill %d frees the lock at once, and what it had not committed is rolled back", pid, pid)
	case d.Locks[0].Lock == locks.Shared:
		return "if it stays: a SELECT that is not read to its end, or not finalized, keeps the lock; in WAL mode it would be in no one's way"
	}
	return ""
}

// holdText is one line of the log.
func holdText(h locks.Hold, waiting func() []locks.Process) string {
	what := map[locks.Class]string{
		locks.Write: "the write lock", locks.Read: "a read lock", locks.Checkpointing: "the checkpoint lock", locks.Recovery: "the recovery lock",
	}[h.Lock.Class()]
	if !h.Ended {
		text := fmt.Sprintf("%s has %s (%s) since %s", who(h.PID, h.Command), what, h.Lock, h.From.Format("15:04:05.000"))
		if h.Older {
			text += " or earlier"
		}
		if open := waiting(); blocks(watchLock{Lock: h.Lock}) && len(open) > 0 {
			text += "; may be waiting: " + some(open)
		}
		return text
	}
	text := fmt.Sprintf("%s let go of %s (%s) after %s", who(h.PID, h.Command), what, h.Lock, short(h.Seen()))
	if h.Older {
		text += " or more"
	}
	if h.Lock.Class() == locks.Write {
		text += "; " + written(h)
	}
	return text
}

// written tells one long transaction from many short ones, as far as that can
// be told from outside.
func written(h locks.Hold) string {
	switch {
	case h.Changes <= 2:
		return "one transaction"
	case h.Changes*2 >= h.Samples:
		return fmt.Sprintf("the file changed %d times meanwhile: probably many short transactions in a row", h.Changes)
	}
	return fmt.Sprintf("the file changed %d times meanwhile: several transactions, or one that writes much", h.Changes)
}

func some(open []locks.Process) string {
	const most = 3
	var names []string
	for _, p := range open[:min(most, len(open))] {
		names = append(names, who(p.PID, p.Command)+state(p.Stopped))
	}
	if len(open) > most {
		names = append(names, fmt.Sprintf("and %d more", len(open)-most))
	}
	return strings.Join(names, ", ")
}

func summaryText(d watchSummary) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nWatched for %s: looked %d times, at most %d ms apart. Someone had the write lock in %s of them.\n",
		short(d.Until.Sub(d.From)), d.Samples, d.GapMS, percent(d.WriteLocked))
	if len(d.Processes) == 0 {
		b.WriteString("No lock was seen.\n")
		return b.String()
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  lock\tof the time\tlongest\t%s or more\tprocess\n", leastHold)
	for _, p := range d.Processes {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\t%s\n", p.Lock, percent(p.Share), short(time.Duration(p.LongestMS)*time.Millisecond), p.Holds, who(p.PID, p.Command))
	}
	w.Flush() // into a strings.Builder, which takes everything
	return b.String()
}

// event writes a line of the log, above the line that changes.
func (o watchOutput) event(at time.Time, text string) error {
	o.clear()
	return o.write(at.Format("15:04:05.000") + "  " + text + "\n")
}

func (o watchOutput) clear() {
	if o.live() {
		fmt.Fprint(o.env.Stdout, "\r\x1b[K")
	}
}

// redraw is how often the line that changes does: more often it flickers.
const redraw = 100 * time.Millisecond

// status redraws the line that changes.
func (o watchOutput) status(now time.Time, held []locks.Hold) {
	if !o.live() {
		return
	}
	text := "not locked"
	if len(held) > 0 {
		h := held[0]
		text = fmt.Sprintf("%s: %s, %s", who(h.PID, h.Command), h.Lock, short(now.Sub(h.From)))
		if len(held) > 1 {
			text += fmt.Sprintf(" (and %d more locks)", len(held)-1)
		}
	}
	// Cut, because a line that wraps can't be taken away again.
	line := []rune(now.Format("15:04:05.0") + "    " + text)
	fmt.Fprint(o.env.Stdout, "\r\x1b[K"+string(line[:min(len(line), 79)]))
}

// who names a process, also where there is none to name.
func who(pid int, command string) string {
	switch {
	case pid == locks.Hidden:
		return "a process that can't be seen from here"
	case pid == locks.Unnamed:
		return "an unnamed process (OFD lock)"
	case command == "":
		return fmt.Sprint("process ", pid)
	}
	return fmt.Sprintf("%d %s", pid, command)
}

func state(stopped bool) string {
	if stopped {
		return " (stopped)"
	}
	return ""
}

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

// short is a duration as one says it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
