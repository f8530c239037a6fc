package lab

// What the processes of a trial do while it runs, for someone who looks on.
//
// A child writes its events for the spool anyway. With [Lab.Live] the parent keeps
// those since the last look in memory, too, and the children add a line for a
// transaction that is still open when they flush.

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"turnstile/internal/lab/report"
)

const (
	// liveEvery is the least time between two looks.
	liveEvery = 250 * time.Millisecond
	// maxLive events of a trial are shown while it runs. All that is kept of it is
	// in its recording when it has ended.
	maxLive = 100_000
)

// recentEvents are the events of one process since the last look. A nil one
// keeps nothing.
type recentEvents struct {
	count *atomic.Int64 // of all processes of the trial

	mu     sync.Mutex // guards all below
	events []report.Event
	open   *report.Event // the transaction that had not ended, if any
}

func (r *recentEvents) add(e report.Event) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = nil
	if r.count.Add(1) <= maxLive {
		r.events = append(r.events, e)
	}
}

// setOpen reads an event that is not over.
func (r *recentEvents) setOpen(line string) error {
	e, err := parseEvent([]byte(line))
	if err != nil || r == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = &e
	return nil
}

// take returns the events since it was called last. An open one comes last, and
// again until it is over.
func (r *recentEvents) take(now time.Duration) []report.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	if r.open != nil {
		e := *r.open
		e.End = max(e.End, now)
		events = append(events, e)
	}
	return events
}

// inOrder returns the children in the order of a recording: the writer last.
func (c *children) inOrder() []*worker {
	if c.writer == nil {
		return c.workers
	}
	return append(slices.Clone(c.workers), c.writer)
}

// recent returns what the children have done since it was called last.
func (c *children) recent(s report.Setting, zero time.Time) report.Recording {
	now := time.Since(zero)
	var traces []report.Trace
	for _, w := range c.inOrder() {
		traces = append(traces, report.Trace{
			Process: w.trace.Process, PID: w.trace.PID, Number: w.trace.Number, Events: slices.Values(w.recent.take(now)),
		})
	}
	total := int(c.liveCount.Load())
	return report.Part(s, zero, traces, total, max(0, total-maxLive))
}
