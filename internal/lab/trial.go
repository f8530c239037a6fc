package lab

// What a trial came to.

import "time"

// A Trial is one setting, run and measured. Times that there were no samples
// for are nil.
type Trial struct {
	Setting
	Journal string

	Asked       int // rows
	Stored      int // counted in the database
	Lost        int // given up, or owned by a process that died, and not in the database
	Unaccounted int // what is left of asked: has to be 0
	Errors      map[int]int

	Seconds   *float64 // from the barrier to the last row in the table
	Published *float64 // to the last row on the queue's disk
	Rate      float64  // rows/s stored

	Wait Waits

	Poorest, Richest int      // rows of a process
	Fairness         *float64 // Jain's index over all processes: 1 is even
	Shares           []Share

	HeldSeconds float64 // how long the lock was held, all holders together
	Holders     []Holder
	Lockouts    []Lockout // the longest waits of each process that ended so, and who held the lock

	Deaths  []Death
	Spread  time.Duration   // of the starts
	Apart   []time.Duration // spreads of the runs that were thrown away, or all of them
	Stopped bool            // by Ctrl-C
	TimedUp bool            // the deadline came before the end

	Story []Tale // who did what when; only of trials small enough to look at

	Repeat int
	Range  map[string][2]float64 // smallest and largest of the repeats
}

// Waits are milliseconds.
type Waits struct {
	P50, P99, Max *float64
	Samples       int64
	Worst         string // the process that waited longest
}

// A Share is what a process got.
type Share struct {
	Process string
	Rows    int
	Refused int     // transactions that found the database locked
	Worst   float64 // its longest wait in milliseconds
}

// A Holder is a process that held the lock.
type Holder struct {
	Process string
	PID     int
	Holds   int
	Held    time.Duration
	Longest time.Duration
}

// A Lockout is a transaction that was refused.
type Lockout struct {
	Process string
	Row     int // of the process, from 1
	Code    int
	At      time.Duration // since the barrier
	Waited  time.Duration
	By      []Blame // the longest first, by their own word
	Seen    *Seen   // who the system's table of locks showed; nil: no one long enough to be seen
}

// Seen is who was seen with the lock from outside.
type Seen struct {
	Process string
	PID     int
	Lock    string // SQLite's name for it
	Foreign bool   // no process of the trial
}

// A Blame says how long a process held the lock while another waited for it.
type Blame struct {
	Process string
	Held    time.Duration
	Turns   int // the transactions it held it for
}

// A Death is a process that did not end by itself.
type Death struct {
	Process string
	How     string
	Ended   int // rows it had ended
}

// A Tale is what one process did.
type Tale struct {
	Process string
	Records []Record
}
