package report

import (
	"iter"
	"time"
)

// Event is what became of one transaction: of its row, or of its rows. Times
// are since the start barrier; -1 means that it did not come to it.
//
//	Ready    the rows could have been written
//	Wants    it began to wait: for the lock, its turn, the queue or the commit
//	Begun    it had the lock
//	Released COMMIT or ROLLBACK had returned: it no longer had the lock
//	End      committed or failed, and its connection closed if it does that
//
// Each time is at or after the one before. A strategy with a queue has no Begun
// and Released: its writer has them.
type Event struct {
	First int // of its rows, counted from 0 for each process
	Rows  int

	Ready, Wants, Begun, Released, End time.Duration

	Task time.Duration // of all its rows together
	Code int           // SQLite's extended result code; 0 is success

	// Unfinished: time ran out before the transaction ended. What it did until
	// then counts; how it would have ended is not known.
	Unfinished bool

	// Lock is SQLite's name of the lock that was held, where an observer saw
	// it: "reserved", "exclusive". Processes do not know it themselves.
	Lock string
}

// Wait returns how long each row of the event waited: the time from Ready to
// End, less the task. Of an unfinished event, the task and the time in which it
// held the lock are no wait.
func (e Event) Wait() time.Duration {
	wait := e.End - e.Ready - e.Task
	switch {
	case e.Unfinished && e.Wants < 0:
		return 0
	case e.Unfinished && e.Begun >= 0:
		wait = min(wait, e.Begun-e.Ready)
	}
	return max(0, wait)
}

// worksOutside returns the part of the event in which it worked before it asked
// for the lock or the queue; nothing if its task was in the transaction. The
// process's event before ended at last. With an offered load a row may be ready
// earlier.
func (e Event) worksOutside(last time.Duration) (from, to time.Duration) {
	switch {
	case e.Wants < 0:
		return max(e.Ready, last), e.End
	case e.Task > 0 && e.Wants-e.Ready >= e.Task:
		return max(e.Ready, last), e.Wants
	}
	return 0, 0
}

// LockWait returns the part of the event in which it waited for the lock.
func (e Event) LockWait() (from, to time.Duration) {
	switch {
	case e.Wants < 0:
		return 0, 0
	case e.Begun < 0:
		return e.Wants, e.End
	}
	return e.Wants, e.Begun
}

// Hold returns the part of the event in which it held the lock.
func (e Event) Hold() (from, to time.Duration) {
	switch {
	case e.Begun < 0:
		return 0, 0
	case e.Released < 0:
		return e.Begun, e.End
	}
	return e.Begun, e.Released
}

// Held returns how long the transaction held the lock.
func (e Event) Held() time.Duration {
	from, to := e.Hold()
	return to - from
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
