package main

// What contention watch tells a person: which lock, what it means for the other
// processes, and what to do.

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/screen"
)

// meaning says what the holder of a lock does, and what the others can do.
var meaning = map[locks.Name]string{
	locks.Exclusive:  "writes to the database file: no other process can read or write",
	locks.Pending:    "waits for readers to end so that it can commit: no new reader can begin",
	locks.Reserved:   "has begun a write transaction: others can read, but not write",
	locks.Shared:     "reads: others can read, but not commit",
	locks.WALWrite:   "has begun a write transaction: others can read, but not write",
	locks.WALRead:    "reads: it blocks nobody, but the WAL cannot start again from its beginning",
	locks.Checkpoint: "copies the WAL into the database file: others can read and write",
	locks.Recover:    "rebuilds the index of the WAL, as after a crash: all others wait",
}

const idleMeaning = "holds the lock without a transaction (locking_mode=EXCLUSIVE, or BEGIN EXCLUSIVE before its first write): " +
	"no other process can read or write"

var modeText = map[string]string{
	locks.WAL: "WAL mode", locks.Rollback: "rollback-journal mode", locks.Unknown: "an empty file, journal mode unknown",
}

func watchText(d watchDoc, paint screen.Paint) string {
	var b strings.Builder
	b.WriteString(paint.Fit("", "", fmt.Sprintf("%s at %s (%s): %s", d.File, d.At.Format("15:04:05.000"), modeText[d.Mode], headline(d, paint))))
	for _, l := range d.Locks {
		b.WriteString("\n" + paint.Fit("  ", "    ", who(l.PID, l.Command)+stateText(l.State)))
		what := meaning[l.Lock]
		if l.Idle {
			what = idleMeaning
		}
		b.WriteString(paint.Wrap("    ", "    ", fmt.Sprintf("%s: %s", l.Lock, what)))
		if facts := lockFacts(l, d.At); facts != "" {
			b.WriteString(paint.Wrap("    ", "    ", facts))
		}
	}
	if w := d.WAL; w != nil && w.Bytes > 0 {
		b.WriteString("\n" + paint.Wrap("", "", walText(w)))
		for _, r := range w.Readers {
			if r.PinnedFrames > 0 {
				b.WriteString(paint.Fit("  ", "    ", who(r.PID, r.Command)) + paint.Wrap("    ", "    ", fmt.Sprintf("reads since %s or earlier (%s) and pins %s",
					r.Since.In(d.At.Location()).Format("15:04:05.000"), shortTime(d.until.Sub(r.Since)), framesText(r.PinnedFrames, r.PinnedBytes))))
			}
		}
	}
	if len(d.Open) > 0 {
		if slices.ContainsFunc(d.Locks, func(l watchLock) bool { return l.Lock.Blocks() }) {
			b.WriteString("\n" + paint.Wrap("", "", "These have it open and hold no lock. They may be waiting (SQLite polls: a waiter leaves no trace):"))
		} else {
			b.WriteString("\nThese have it open and hold no lock:\n")
		}
		for _, p := range d.Open {
			b.WriteString(paint.Fit("  ", "    ", who(p.PID, p.Command)+stateText(p.State)))
		}
	}
	if d.Note != "" {
		b.WriteString("\n" + paint.Wrap("", "", "note: "+d.Note))
	}
	if a := advice(d); a != "" {
		b.WriteString(paint.Wrap("", "", "hint: "+a))
	}
	return b.String()
}

// lockFacts says for how long a lock is held and by what kind of process.
func lockFacts(l watchLock, at time.Time) string {
	var facts []string
	if l.SeenMS > 0 {
		held := "held for " + shortTime(time.Duration(l.SeenMS)*time.Millisecond) + " at least"
		if manyTransactions(l) {
			held += fmt.Sprintf(", in which the file changed %d times", l.Changes)
		}
		facts = append(facts, held)
	}
	if l.User != "" {
		facts = append(facts, "user "+l.User)
	}
	if l.Started != nil {
		started := l.Started.In(at.Location()).Format("15:04:05")
		if at.Sub(*l.Started) >= 12*time.Hour {
			started = l.Started.In(at.Location()).Format("2006-01-02 15:04")
		}
		facts = append(facts, "started "+started)
	}
	switch {
	case l.Container != "" && l.InnerPID > 0:
		facts = append(facts, fmt.Sprintf("container %s (PID %d there)", l.Container, l.InnerPID))
	case l.Container != "":
		facts = append(facts, "container "+l.Container)
	case l.InnerPID > 0:
		facts = append(facts, fmt.Sprintf("in another PID namespace (PID %d there)", l.InnerPID))
	}
	return strings.Join(facts, ", ")
}

// manyTransactions tells short transactions in a row from one transaction. A
// single transaction changes the file when it spills its cache or commits.
func manyTransactions(l watchLock) bool { return l.Lock.Class() == locks.Write && l.Changes >= 3 }

func walText(w *watchWAL) string {
	s := fmt.Sprintf("WAL: %s. Committed frames: %s, in the database file already: %s.", humanize.IBytes(uint64(w.Bytes)),
		humanize.Comma(int64(w.Frames)), humanize.Comma(int64(w.Copied)))
	if w.PinnedFrames == 0 {
		return s + " No reader pins it."
	}
	return s + " No checkpoint can copy the newest " + framesText(w.PinnedFrames, w.PinnedBytes) + ":"
}

func framesText(frames uint32, bytes int64) string {
	unit := "frames"
	if frames == 1 {
		unit = "frame"
	}
	return fmt.Sprintf("%s %s (%s)", humanize.Comma(int64(frames)), unit, humanize.IBytes(uint64(bytes)))
}

func walWarningText(w *locks.WALState) string {
	s := "the WAL is " + humanize.IBytes(uint64(w.Size))
	if len(w.Readers) == 0 || w.Readers[0].Pinned == 0 {
		return s + ", and no reader pins it: PRAGMA wal_checkpoint(TRUNCATE) empties it"
	}
	r := w.Readers[0]
	return fmt.Sprintf("%s: %s reads since %s or earlier and pins %s", s, who(r.PID, r.Command), r.Since.Format("15:04:05"), framesText(r.Pinned, w.Bytes(r.Pinned)))
}

// headline is the state of the database in a few words.
func headline(d watchDoc, paint screen.Paint) string {
	any := func(want func(watchLock) bool) bool { return slices.ContainsFunc(d.Locks, want) }
	red := func(s string) string { return paint.Bold(paint.Red(s)) }
	switch {
	case any(func(l watchLock) bool { return l.Idle }):
		return red("locked exclusively")
	case any(func(l watchLock) bool { return l.Lock.Class() == locks.Write }):
		return red("locked for writing")
	case any(func(l watchLock) bool { return l.Lock == locks.Recover }):
		return red("locked for recovery")
	case any(func(l watchLock) bool { return l.Lock == locks.Shared }):
		return paint.Yellow("being read, so nobody can commit")
	case any(func(l watchLock) bool { return l.Lock == locks.Checkpoint }):
		return paint.Green("a checkpoint runs; open to readers and writers")
	case len(d.Locks) > 0:
		return paint.Green("being read; open to readers and writers")
	case !d.Visible || len(d.Unseen) > 0:
		return paint.Yellow("no lock can be seen")
	}
	return paint.Green("not locked")
}

// advice is what to do.
func advice(d watchDoc) string {
	halted := slices.IndexFunc(d.Locks, func(l watchLock) bool { return l.State.Halted() && l.PID > 0 })
	writer := slices.IndexFunc(d.Locks, func(l watchLock) bool { return l.Lock.Class() == locks.Write && l.PID > 0 })
	switch {
	case halted >= 0 && d.Locks[halted].State == locks.Traced:
		return fmt.Sprintf("a debugger has stopped process %d, and it keeps its lock: continue it there, or detach", d.Locks[halted].PID)
	case halted >= 0:
		pid := d.Locks[halted].PID
		return fmt.Sprintf("process %d is stopped and keeps its lock. kill -CONT %d lets it continue. kill -KILL %d ends it (kill %d alone "+
			"waits until it continues), and SQLite rolls back what it has not committed", pid, pid, pid, pid)
	case len(d.Locks) == 0:
		return ""
	case writer >= 0:
		return writerAdvice(d.Locks[writer])
	case d.Locks[0].Lock == locks.Shared:
		return "if it persists: a SELECT that is not read to its end, or not finalized, keeps the lock; in WAL mode it would block nobody"
	case d.WAL != nil && d.WAL.PinnedFrames > 0:
		return "if it persists: end the read transaction (read the SELECT to its end, close the cursor, COMMIT). Then PRAGMA wal_checkpoint(TRUNCATE) empties the WAL"
	}
	return ""
}

// onceAdvice is what to do after a single look that saw no lock.
func onceAdvice(d watchDoc, paint screen.Paint) string {
	if !d.Visible || len(d.Unseen) > 0 || len(d.Locks) > 0 {
		return ""
	}
	watch := strings.ReplaceAll(cli.Typeable("contention watch "+quoted(d.File)), " ", screen.Space)
	return paint.Wrap("", "", "hint: most locks are held for milliseconds only. This sees those as well: "+watch)
}

func writerAdvice(l watchLock) string {
	switch {
	case l.Lock == locks.Pending:
		return "it waits for a reader: end the long transaction that reads, or use WAL mode, in which readers and writers do not block each other"
	case l.Idle:
		return fmt.Sprintf("process %d keeps the lock until it closes the database, or sets PRAGMA locking_mode=NORMAL and then reads once", l.PID)
	case manyTransactions(l):
		return fmt.Sprintf("process %d runs one short transaction after another: put several rows into each, so that others get the lock in between", l.PID)
	}
	return fmt.Sprintf("if it persists: find what process %d does between its first write and COMMIT, and do that before BEGIN. kill %d "+
		"frees the lock at once, and SQLite rolls back what it has not committed", l.PID, l.PID)
}

// lockKind names a lock by its purpose.
var lockKind = map[locks.Class]string{
	locks.Write: "the write lock", locks.Read: "a read lock", locks.Checkpointing: "the checkpoint lock", locks.Recovery: "the recovery lock",
}

// holdText is one line of the log.
func holdText(h locks.Hold, open []locks.Process) string {
	what := lockKind[h.Lock.Class()]
	if !h.Ended {
		text := fmt.Sprintf("%s holds %s (%s) since %s", who(h.PID, h.Command), what, currentStage(h), h.From.Format("15:04:05.000"))
		if h.Older {
			text += " or earlier"
		}
		return text + waitersText(h, open)
	}
	text := fmt.Sprintf("%s released %s after %s", who(h.PID, h.Command), what, shortTime(h.Seen()))
	if h.Older {
		text += " or more"
	}
	text += " (" + stagesText(h) + ")"
	if h.Lock.Class() == locks.Write {
		text += "; " + changesText(h)
	}
	return text
}

// currentStage is the lock that was seen last, and what it is held for if there
// is no transaction.
func currentStage(h locks.Hold) string {
	lock := h.Lock
	if len(h.Stages) > 0 {
		lock = h.Stages[len(h.Stages)-1].Lock
	}
	if h.Idle() {
		return string(lock) + ", without a transaction"
	}
	return string(lock)
}

// stagesText says for how long a hold was which lock.
func stagesText(h locks.Hold) string {
	if len(h.Stages) < 2 {
		return currentStage(h)
	}
	var stages []string
	for _, s := range h.Stages {
		stages = append(stages, fmt.Sprintf("%s %s", s.Lock, shortTime(s.Seen)))
	}
	return strings.Join(stages, ", ")
}

// changesText tells one long transaction from many short ones, as far as that
// can be told from outside.
func changesText(h locks.Hold) string {
	switch {
	case h.Idle():
		return "no transaction was open"
	case h.Changes <= 2:
		return "one transaction"
	case h.Changes*2 >= h.Samples:
		return fmt.Sprintf("the file changed %d times meanwhile: probably many short transactions in a row", h.Changes)
	}
	return fmt.Sprintf("the file changed %d times meanwhile: several transactions, or one that writes much", h.Changes)
}

// waiters returns who may be waiting for a hold. The holder itself may be among
// those that had the file open a moment ago and held no lock.
func waiters(h locks.Hold, open []locks.Process) []locks.Process {
	if !h.Lock.Blocks() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(open), func(p locks.Process) bool { return p.PID == h.PID })
}

// waitersText says who may be waiting for a hold.
func waitersText(h locks.Hold, open []locks.Process) string {
	open = waiters(h, open)
	if len(open) == 0 {
		return ""
	}
	s := "; 1 other process may be waiting: "
	if len(open) > 1 {
		s = fmt.Sprintf("; %d others may be waiting: ", len(open))
	}
	const most = 3
	var names []string
	for _, p := range open[:min(most, len(open))] {
		names = append(names, who(p.PID, p.Command)+stateText(p.State))
	}
	if len(open) > most {
		names = append(names, "...")
	}
	return s + strings.Join(names, ", ")
}

func alertText(h locks.Hold, open []locks.Process) string {
	return fmt.Sprintf("%s has held %s (%s) for %s%s", who(h.PID, h.Command), lockKind[h.Lock.Class()], currentStage(h), shortTime(h.Seen()), waitersText(h, open))
}

func summaryText(d watchSummary, paint screen.Paint) string {
	var b strings.Builder
	line := func(format string, values ...any) { b.WriteString(paint.Fit("", "", fmt.Sprintf(format, values...))) }
	b.WriteString("\n")
	line("Watched for %s: %s samples, at most %d ms apart. In %s of them a process held the write lock.",
		shortTime(d.Until.Sub(d.From)), humanize.Comma(int64(d.Samples)), d.GapMS, percent(d.WriteLocked))
	if d.MissedMS > 0 {
		line("watch took no sample for %s in all: locks of that time were missed.", shortTime(time.Duration(d.MissedMS)*time.Millisecond))
	}
	if len(d.Processes) == 0 {
		b.WriteString("No lock was seen.\n")
	} else {
		b.WriteString("\n")
		var table strings.Builder
		w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "lock\tof the time\tlongest\t%s or more\tprocess\n", minHold)
		for _, p := range d.Processes {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", p.Class, percent(p.Share), shortTime(time.Duration(p.LongestMS)*time.Millisecond), p.Holds, who(p.PID, p.Command))
		}
		w.Flush() // into a strings.Builder, which takes everything
		last := strings.Repeat(" ", 2+strings.Index(table.String(), "process"))
		for row := range strings.Lines(table.String()) {
			b.WriteString(paint.Fit("  ", last, strings.TrimSuffix(row, "\n")))
		}
	}
	if len(d.Open) > 0 {
		b.WriteString("\n")
		line("Had the file open while a lock blocked others, and may have waited:")
		for _, p := range d.Open[:min(10, len(d.Open))] {
			b.WriteString(paint.Fit("  ", "    ", who(p.PID, p.Command)))
		}
		if len(d.Open) > 10 {
			fmt.Fprintf(&b, "  and %d more\n", len(d.Open)-10)
		}
	}
	if w := d.WAL; w != nil && w.BytesAfter > 0 {
		text := fmt.Sprintf("The WAL was %s at the start and %s at the end.", humanize.IBytes(uint64(w.BytesBefore)), humanize.IBytes(uint64(w.BytesAfter)))
		if w.PinnedFrames > 0 {
			text += fmt.Sprintf(" %s pinned up to %s.", who(w.PID, w.Command), framesText(w.PinnedFrames, w.PinnedBytes))
		}
		b.WriteString("\n" + paint.Fit("", "", text))
	}
	return b.String()
}

const fileGone = "the file is gone; watching for it to come back"

// noteText is what there is to say beside the locks.
func noteText(v locks.View, err error) string {
	if err != nil {
		return fileGone
	}
	return strings.Join(append(append([]string{}, v.Notes...), v.Unseen...), "; ")
}

// noteChange describes a change from one note to the next.
func noteChange(before, now string) string {
	switch {
	case now != "":
		return now
	case before == fileGone:
		return "the file is back"
	}
	return "no lock is hidden any more"
}

// watchOutput writes what is seen, as text or as JSON.
type watchOutput struct {
	config watchConfig
	env    cli.Env
	paint  screen.Paint
	folds  map[foldKey]*fold
}

func newWatchOutput(c watchConfig, env cli.Env) *watchOutput {
	return &watchOutput{config: c, env: env, paint: paintFor(env.Stdout, cli.Colour(env.Stdout)), folds: map[foldKey]*fold{}}
}

func (o *watchOutput) write(text string) error {
	if _, err := io.WriteString(o.env.Stdout, text); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// live reports whether the output can redraw its last line.
func (o *watchOutput) live() bool {
	return o.config.format == "text" && o.env.Stdout == os.Stdout && cli.IsTerminal(o.env.Stdout)
}

// event writes a line of the log above the status line.
func (o *watchOutput) event(at time.Time, text string) error {
	o.clear()
	return o.write(o.paint.Fit(at.Format("15:04:05.000")+"  ", "              ", text))
}

func (o *watchOutput) clear() {
	if o.live() {
		fmt.Fprint(o.env.Stdout, "\r\x1b[K")
	}
}

// redrawInterval is how often the status line changes: more often, it flickers.
const redrawInterval = 100 * time.Millisecond

// status redraws the status line.
func (o *watchOutput) status(now time.Time, held []locks.Hold, open []locks.Process) {
	if !o.live() {
		return
	}
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	// A line that wraps cannot be erased, so it is cut.
	line := []rune(now.Format("15:04:05.0") + "    " + o.statusText(now, held, open))
	fmt.Fprint(o.env.Stdout, "\r\x1b[K"+string(line[:min(len(line), width-1)]))
}

func (o *watchOutput) statusText(now time.Time, held []locks.Hold, open []locks.Process) string {
	for key, f := range o.folds {
		if f.folded() && now.Sub(f.until) < foldGap {
			return f.text() + ": " + who(key.pid, f.command)
		}
	}
	if len(held) == 0 {
		return "not locked"
	}
	h := held[0]
	text := fmt.Sprintf("%s %s", currentStage(h), shortTime(now.Sub(h.From)))
	if n := len(waiters(h, open)); n > 0 && h.Seen() >= minHold {
		text += fmt.Sprintf(", %d may be waiting", n)
	}
	if n := len(held) - 1; n > 0 {
		text += fmt.Sprintf(", locks besides: %d", n)
	}
	return text + ": " + who(h.PID, h.Command)
}

// A process that takes the same lock again and again gets a line for each of the
// first holds, then one line that sums them up.
const (
	foldAfter = 3
	foldGap   = time.Second // a longer pause ends the row
)

type foldKey struct {
	pid   int
	class locks.Class
}

// fold is a row of holds of one process.
type fold struct {
	command       string
	class         locks.Class
	holds         int
	from, until   time.Time
	held, longest time.Duration
	next          int // number of holds at which the sum is written again
}

func (f *fold) folded() bool { return f.holds > foldAfter }

func (f *fold) text() string {
	return fmt.Sprintf("%d holds of %s in %s, together %s, longest %s", f.holds, lockKind[f.class], shortTime(f.until.Sub(f.from)), shortTime(f.held), shortTime(f.longest))
}

// fold writes a line for a hold, or adds the hold to the row it belongs to.
func (o *watchOutput) fold(at time.Time, h locks.Hold, open []locks.Process) error {
	key := foldKey{h.PID, h.Lock.Class()}
	f := o.folds[key]
	if f != nil && h.From.Sub(f.until) >= foldGap {
		if err := o.endFold(key, f); err != nil {
			return err
		}
		f = nil
	}
	if !h.Ended {
		if f != nil && f.holds >= foldAfter {
			return nil
		}
		return o.event(at, holdText(h, open))
	}
	if f == nil {
		if err := o.endOldFolds(h.Until); err != nil {
			return err
		}
		f = &fold{command: h.Command, class: h.Lock.Class(), from: h.From, next: 10}
		o.folds[key] = f
	}
	f.holds++
	f.until, f.held, f.longest = h.Until, f.held+h.Seen(), max(f.longest, h.Seen())
	switch {
	case !f.folded():
		return o.event(at, holdText(h, open))
	case f.holds == f.next:
		f.next *= 10
		return o.event(at, who(h.PID, h.Command)+": "+f.text()+"; more of them follow without a line each")
	}
	return nil
}

// endFold ends a row of holds with its sum.
func (o *watchOutput) endFold(key foldKey, f *fold) error {
	delete(o.folds, key)
	if !f.folded() {
		return nil
	}
	return o.event(f.until, who(key.pid, f.command)+": "+f.text())
}

// endOldFolds ends the rows that are over.
func (o *watchOutput) endOldFolds(now time.Time) error {
	for key, f := range o.folds {
		if now.Sub(f.until) >= foldGap {
			if err := o.endFold(key, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *watchOutput) endFolds() error {
	for key, f := range o.folds {
		if err := o.endFold(key, f); err != nil {
			return err
		}
	}
	return nil
}

// who names a process, also one that the kernel does not name.
func who(pid int, command string) string {
	switch {
	case pid == locks.Hidden:
		return "a process that can't be seen from here"
	case pid == locks.Unnamed:
		return "an unknown process (OFD lock)"
	case command == "":
		return fmt.Sprint("process ", pid)
	}
	return fmt.Sprintf("%d %s", pid, command)
}

func stateText(s locks.State) string {
	switch s {
	case locks.Stopped, locks.Traced, locks.DiskWait, locks.Zombie:
		return " (" + string(s) + ")"
	}
	return ""
}

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

// shortTime is a duration with two or three digits.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
