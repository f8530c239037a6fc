// Package report holds the plain types of the lab's results, and everything
// that is a pure function of them: measurement, findings, recommendation,
// tables, text, JSON, time line. Nothing here runs a process or reads a clock.
//
// [Measure] makes a [Trial] of the traces of its processes. A [Report] is all
// trials of a run, and writes itself in every format.
//
// # What is measured
//
// A process takes one row after another. A row is ready when the process's
// previous row ended (or, with an offered load, when it is due). It ends when
// it is committed or failed. The wait of a row is the time between, less the
// task: the work that the row itself needs. No strategy retries a row.
package report

import (
	"fmt"
	"strings"
	"time"
)

// Setting is what is asked of a trial.
type Setting struct {
	Strategy       string
	Processes      int
	Rows           int           // of each process; 0 where For is set
	For            time.Duration // 0 where Rows is set
	Task           time.Duration // the work behind a row
	PerTransaction int           // rows in a transaction
	BusyTimeout    time.Duration
	Sync           string        // "full" or "normal"
	Offered        float64       // rows a second of all processes together; 0: as fast as they can
	Deadline       time.Duration // after which the trial is ended; 0: Limit decides
	Introduction   bool          // one of the two trials that the report begins with
}

// Limit returns how long a trial may take. Without a deadline it leaves time
// for every task one after another, and a minute for what goes wrong.
func (s Setting) Limit() time.Duration {
	if s.Deadline > 0 {
		return s.Deadline
	}
	tasks := float64(s.Processes) * float64(s.Rows) * float64(s.Task)
	return s.For + time.Duration(min(tasks, float64(LongestTime))) + time.Minute
}

// Due returns when the n-th row of a process, counted from 0, is offered. The
// processes take turns.
func (s Setting) Due(process, n int) time.Duration {
	turn := float64(n*s.Processes + process - 1)
	return time.Duration(min(turn/s.Offered*float64(time.Second), float64(LongestTime)))
}

// Timeout returns the busy timeout that the strategy uses.
func (s Setting) Timeout() time.Duration {
	if Find(s.Strategy).NoTimeout {
		return 0
	}
	return s.BusyTimeout
}

// String names a setting by strategy and size. Consumers of one queue share its rows.
func (s Setting) String() string {
	rows := s.rows()
	if Find(s.Strategy).Queue == FromQueue && s.For == 0 && s.Processes > 1 {
		rows = count(s.Processes*s.Rows, "row", "rows") + " shared"
	}
	return s.Strategy + ", " + s.size(rows)
}

// Size describes everything of a setting that strategies are compared at.
func (s Setting) Size() string { return s.size(s.rows()) }

// rows says what each process has to do.
func (s Setting) rows() string {
	if s.For > 0 {
		return "for " + exactTime(s.For)
	}
	return count(s.Rows, "row", "rows") + " each"
}

func (s Setting) size(rows string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", count(s.Processes, "process", "processes"), rows)
	if s.Task == 0 {
		b.WriteString(", no task")
	} else {
		fmt.Fprintf(&b, ", a task of %s", exactTime(s.Task))
	}
	return b.String()
}

// Trial is one setting, run and measured. A time without a sample is nil.
type Trial struct {
	Setting
	Journal string // journal mode

	Asked       int // rows
	Stored      int // counted in the database
	Lost        int // failed, or owned by a process that died, and not in the database
	NotBegun    int // or rolled back, because the run was interrupted; not in Asked
	Unaccounted int // Asked - Stored - Lost: anything but 0 is a defect of the lab
	Errors      map[int]int

	Seconds   *float64 // from the start barrier to the last row in the table
	Published *float64 // to the last row on the queue's disk
	Rate      float64  // rows/s stored

	RowsPerCommit *float64 // of the single writer, on average; nil without one

	Wait WaitStats

	MinRows, MaxRows int      // rows of a process
	Fairness         *float64 // Jain's index over all processes: 1 is even
	Processed        []ProcessResult

	HeldSeconds float64 // hold time of the lock, all holders together
	Holders     []Holder
	LockWait    LockWait
	Busy        []BusyWait // of each process the longest waits that ended with SQLITE_BUSY

	Deaths      []Death
	StartSpread time.Duration   // between the first and the last process to start
	Restarts    []time.Duration // start spreads of the runs that were repeated
	Interrupted bool            // by Ctrl-C
	TimedOut    bool            // ended by its deadline

	Recording *Recording // what each process did when; nil if unknown

	Repeat int
	Range  map[string][2]float64 // least and most of the repeats, by JSON key
}

// MaxStartSpread is the largest spread of the starts that is fair. The lab
// repeats a trial that exceeds it.
const MaxStartSpread = 50 * time.Millisecond

// WaitStats are milliseconds.
type WaitStats struct {
	P50, P99, Max *float64
	Samples       int64
	Worst         string // the process that waited longest
}

// ProcessResult is what one process achieved.
type ProcessResult struct {
	Process string
	Rows    int
	Busy    int     // transactions that ended with SQLITE_BUSY
	MaxWait float64 // milliseconds
}

// LockWait sums up all waits for the lock, of all processes together.
type LockWait struct {
	Total time.Duration
	// Free is the part in which no process held the lock: the waiters slept
	// between two polls.
	Free time.Duration
	// Contended is how long the lock was held while at least one waited.
	Contended time.Duration
}

// Holder is a process that held the lock.
type Holder struct {
	Process string
	PID     int
	Holds   int
	Held    time.Duration
	Longest time.Duration
}

// BusyWait is a wait for the lock that ended with SQLITE_BUSY.
type BusyWait struct {
	Process  string
	Row      int // of the process, from 1
	Code     int
	At       time.Duration // of the end, since the start barrier
	Waited   time.Duration
	Holders  []HeldMeanwhile // the longest first, by the processes' own traces
	Free     time.Duration   // no process of the trial held the lock
	Observed *Observed       // by the lock observer; nil: no hold long enough to be sampled
}

// HeldMeanwhile says how long a process held the lock while another waited.
type HeldMeanwhile struct {
	Process string
	Held    time.Duration
	Holds   int
}

// Observed is the lock holder that the operating system's table of locks
// showed.
type Observed struct {
	Process  string
	PID      int
	Lock     string // SQLite's name for it
	External bool   // not a process of the trial
}

// Death is a process that did not end by itself.
type Death struct {
	Process string
	How     string
	Ended   int // rows it had ended
}

// BusyCount returns how many transactions ended with SQLITE_BUSY.
func (t Trial) BusyCount() int {
	n := 0
	for code, times := range t.Errors {
		if isBusy(code) {
			n += times
		}
	}
	return n
}

// complete says whether the trial stored all that was asked for.
func (t Trial) complete() bool { return t.Asked > 0 && t.Stored == t.Asked && !t.Interrupted }
