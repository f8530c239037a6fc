package report

import (
	"iter"
	"time"
)

// Event is what became of one transaction: of its row, or of its rows. Times
// are since the start barrier; -1 means that it did not come to it.
type Event struct {
	First int // of its rows, counted from 0 for each process
	Rows  int

	Ready time.Duration // the rows could have been written
	Wants time.Duration // began to ask for the lock, or for the queue
	Begun time.Duration // has the lock
	End   time.Duration // committed or failed
	Task  time.Duration // of all its rows together
	Code  int           // SQLite's extended result code; 0 is success

	// Unfinished: time ran out before the transaction ended. The wait so far
	// counts; how it would have ended is not known.
	Unfinished bool
}

// Wait returns how long each row of the event waited.
func (e Event) Wait() time.Duration { return max(0, e.End-e.Ready-e.Task) }

// Held returns how long the transaction held the lock.
func (e Event) Held() time.Duration {
	if e.Begun < 0 {
		return 0
	}
	return e.End - e.Begun
}

// Done says whether the rows were written, as far as the process knows.
func (e Event) Done() bool { return e.Code == 0 && !e.Unfinished }

// Trace is what one process recorded, and how it exited.
type Trace struct {
	Process string // P1, P2, ... or [WriterName]
	Number  int    // 1, 2, ...; 0 for the writer
	PID     int
	Events  iter.Seq[Event] // in the order of time; may be read several times
	Start   time.Duration   // after the start barrier
	Taken   int             // rows it took, or was about to
	Ended   bool            // by itself
	EndAt   time.Duration
	Died    string // how, if it did not end by itself
}

// WriterName is the name of the single writer's process.
const WriterName = "writer"

// Lane is the events of one process as they are kept in a trial.
type Lane struct {
	Process string
	PID     int
	Events  []Event
}
