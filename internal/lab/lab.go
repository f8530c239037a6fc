// Package lab lets many real processes write to one SQLite file, each in a
// way of its own, and measures what comes of it.
//
// Begin with direct.go and the strategies beside it: each is one file, short
// enough to hold next to another. A strategy is run by process.go in a child
// process (child.go); run.go starts the children, lets them go at one moment
// and collects what they write down; measure.go makes a [Trial] of it. What is
// printed is made from trials alone: report.go, findings.go, recommend.go.
//
// # What is measured
//
// A process takes one row after another. A row is ready when the process's
// previous row ended (or, with an offered load, when it is due) and ends when
// it is committed or given up. The wait of a row is the time between, less the
// task, the work that the row itself needs. No strategy retries a row.
package lab

import (
	"fmt"
	"strings"
	"time"
)

// A Setting is what is asked of a trial.
type Setting struct {
	Strategy       string
	Processes      int
	Rows           int           // a process; 0 where For says how long
	For            time.Duration // 0 where Rows says how many
	Task           time.Duration // the work behind a row
	PerTransaction int           // rows a transaction
	BusyTimeout    time.Duration
	Sync           string        // "full" or "normal"
	Offered        float64       // rows a second of all processes together; 0: as fast as they go
	Deadline       time.Duration // after which no one is waited for; 0: long enough
	Original       bool          // one of the two trials that repeat the original experiment
}

// deadline leaves time for every task one after another, and a minute for
// what goes wrong.
func (s Setting) deadline() time.Duration {
	if s.Deadline > 0 {
		return s.Deadline
	}
	return s.For + time.Duration(s.Processes*s.Rows)*s.Task + time.Minute
}

// due is when the n-th row of a process, counted from 0, is offered: the
// processes take turns.
func (s Setting) due(process, n int) time.Duration {
	turn := float64(n*s.Processes + process - 1)
	return time.Duration(turn / s.Offered * float64(time.Second))
}

// busyTimeout is what the strategy makes of the setting's.
func (s Setting) busyTimeout() time.Duration {
	if find(s.Strategy).NoTimeout {
		return 0
	}
	return s.BusyTimeout
}

// String names a setting as one would ask for it.
func (s Setting) String() string {
	return fmt.Sprintf("%s, %s", s.Strategy, s.size())
}

// size is all of a setting that strategies are compared at.
func (s Setting) size() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, ", count(s.Processes, "process", "processes"))
	if s.For > 0 {
		fmt.Fprintf(&b, "for %s", exact(s.For))
	} else {
		fmt.Fprintf(&b, "%s each", count(s.Rows, "row", "rows"))
	}
	if s.Task == 0 {
		b.WriteString(", no task")
	} else {
		fmt.Fprintf(&b, ", a task of %s", exact(s.Task))
	}
	return b.String()
}
