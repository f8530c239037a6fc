package scene

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"turnstile/internal/lab/report"
)

// WriteTrace writes stories in the Chrome trace format. Each act is a process of
// the trace, and each actor one of its threads. A statement is a slice, with its
// wait for the lock inside where it waited. A transaction is the slice "reads"
// or "has the lock" around its statements, from the one that took the lock. What
// happens outside of SQLite is a mark on a thread of its own.
func WriteTrace(w io.Writer, stories []Story) error {
	t := &report.TraceFile{}
	for _, s := range stories {
		for i, a := range s.Acts {
			traceAct(t, fmt.Sprintf("%s %d: %s", s.Name, i+1, a.Title), a)
		}
	}
	return t.Write(w)
}

func traceAct(t *report.TraceFile, title string, a Act) {
	pid := t.Process(title)
	tracks := map[string]*track{}
	for i, actor := range a.Actors {
		t.Thread(pid, i+1, fmt.Sprintf("%s (process %d)", actor.Name, actor.PID), i)
		tracks[actor.Name] = &track{file: t, pid: pid, tid: i + 1, reads: unknown, holds: unknown}
	}
	shell := len(a.Actors) + 1
	t.Thread(pid, shell, "shell", shell)
	var last time.Duration
	for _, e := range a.Steps {
		from, to := traceMS(e.AtMS), traceMS(e.AtMS)
		if e.Kind == kindStatement {
			to = max(from+traceMS(*e.WaitedMS), from+time.Microsecond) // a slice that is empty is not shown
		}
		last = max(last, to)
		switch e.Kind {
		case kindShell:
			t.Mark(pid, shell, e.Text, from, traceArgs(e))
			if name, ok := strings.CutPrefix(e.Text, "kill -KILL "); ok {
				tracks[name].end(from)
			}
		case kindStarted:
			tracks[e.Actor].started = &e
		case kindEnded:
			from = traceMS(tracks[e.Actor].started.AtMS)
			tracks[e.Actor].started = nil
			tracks[e.Actor].statement(e, from, to)
		default:
			tracks[e.Actor].statement(e, from, to)
		}
	}
	var holds []report.TraceHold
	for _, actor := range a.Actors {
		tracks[actor.Name].end(last)
		holds = append(holds, tracks[actor.Name].held...)
	}
	t.HandOvers(pid, holds)
}

const unknown = time.Duration(-1)

// track is an actor's thread, and what its transaction has at the moment.
type track struct {
	file     *report.TraceFile
	pid, tid int

	started      *Step // the statement that runs
	open         bool  // between BEGIN and COMMIT
	reads, holds time.Duration
	wants        time.Duration // since when the holder waited for its lock
	held         []report.TraceHold
}

func (r *track) statement(e Step, from, to time.Duration) {
	r.file.Slice(r.pid, r.tid, e.Text, "statement", from, to, traceArgs(e))
	waited := e.Kind == kindEnded || *e.Code&0xff == sqlite3.SQLITE_BUSY && !e.AtOnce
	if waited {
		r.file.Slice(r.pid, r.tid, report.SliceWaits+report.WaitsForLock, "wait", from, to, nil)
	}
	if *e.Code != 0 { // the transaction has what it had before
		r.file.MarkCode(r.pid, r.tid, *e.Code, to)
		return
	}
	takes := e.Text == "BEGIN IMMEDIATE"
	switch verb, _, _ := strings.Cut(e.Text, " "); verb {
	case "BEGIN":
		r.open = true
	case "COMMIT", "ROLLBACK":
		r.release(to)
	case "SELECT":
		if r.open && r.reads < 0 && r.holds < 0 {
			r.reads = to
		}
	case "UPDATE", "INSERT", "DROP", "CREATE":
		takes = r.open
	}
	if takes && r.holds < 0 {
		r.holds, r.wants = to, unknown
		if waited {
			r.wants = from
		}
	}
}

// release ends the transaction.
func (r *track) release(at time.Duration) {
	if r.reads >= 0 {
		r.file.Slice(r.pid, r.tid, "reads", "read", r.reads, at, nil)
	}
	if r.holds >= 0 && r.holds < at {
		r.file.Slice(r.pid, r.tid, report.SliceHold, "lock", r.holds, at, nil)
		r.held = append(r.held, report.TraceHold{TID: r.tid, Wants: r.wants, From: r.holds, To: at})
	}
	r.open, r.reads, r.holds = false, unknown, unknown
}

// end ends what a process did that was killed, or whose scene is over.
func (r *track) end(at time.Duration) {
	if e := r.started; e != nil {
		args := traceArgs(*e)
		args["unfinished"] = true
		r.file.Slice(r.pid, r.tid, e.Text, "statement", traceMS(e.AtMS), at, args)
		r.started = nil
	}
	r.release(at)
}

func traceArgs(e Step) map[string]any {
	args := map[string]any{}
	if e.Code != nil {
		args["code"], args["code_name"] = *e.Code, *e.CodeName
	}
	if e.Message != nil {
		args["message"] = *e.Message
	}
	if e.Result != nil {
		args["result"] = *e.Result
	}
	if e.Note != "" {
		args["note"] = e.Note
	}
	return args
}

// traceMS returns milliseconds, which have three decimals, without their
// rounding error.
func traceMS(ms float64) time.Duration {
	return time.Duration(math.Round(1000*ms)) * time.Microsecond
}
