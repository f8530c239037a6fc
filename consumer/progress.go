package main

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// logEvery is the least time between two log lines about stored rows.
const logEvery = time.Second

// runTotals is the result of run as JSON.
type runTotals struct {
	Stored       int64   `json:"stored"`
	AlreadyThere int64   `json:"already_there"`
	Rejected     int64   `json:"rejected"`
	Transactions int64   `json:"transactions"`
	Seconds      float64 `json:"seconds"`
	Interrupted  bool    `json:"interrupted"`
}

// A commitLog counts commits and logs them once a second at most.
type commitLog struct {
	runTotals
	log     *slog.Logger
	rejects *rejectLog
	summary *commitSummary
	start   time.Time
	queue   func() (stream.QueueState, error) // asked before a line is logged; nil: is not

	mu       sync.Mutex  // guards all below, rejects and runTotals
	unlogged mta.Outcome // since the last log line
	commits  int         // since the last log line
	timer    *time.Timer // runs while something is not logged
}

func newCommitLog(log *slog.Logger) *commitLog {
	return &commitLog{log: log, rejects: newRejectLog(log), start: time.Now()}
}

func (l *commitLog) add(c ingest.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rejects.add(c)
	for _, o := range c.Outcomes {
		l.unlogged = l.unlogged.Add(o)
		l.Stored += int64(o.Stored)
		l.AlreadyThere += int64(o.AlreadyThere)
		l.Rejected += int64(o.Rejected)
	}
	l.Transactions++
	l.commits++
	l.Seconds = time.Since(l.start).Seconds()
	if l.timer == nil {
		l.timer = time.AfterFunc(logEvery, l.tick)
	}
}

// tick logs the commits of the last second, and what is left in the queue.
func (l *commitLog) tick() {
	var left []any
	if l.queue != nil {
		q, err := l.queue()
		if err != nil {
			l.log.Debug("ask for the size of the queue", "error", err)
		} else {
			left = []any{"queued_messages", q.Messages}
			if q.Messages > 0 {
				left = append(left, "queued", humanize.IBytes(q.Bytes), "oldest", q.Oldest.Round(time.Millisecond))
			}
		}
	}
	l.write(left...)
}

// flush logs the commits that have not been logged.
func (l *commitLog) flush() { l.write() }

func (l *commitLog) write(left ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return
	}
	l.timer.Stop()
	l.timer = nil
	facts := []any{"rows", l.unlogged.Stored}
	if n := l.unlogged.AlreadyThere; n > 0 {
		facts = append(facts, "already_there", n)
	}
	if n := l.unlogged.Rejected; n > 0 {
		facts = append(facts, "rejected", n)
	}
	l.log.Info("stored", slices.Concat(facts, []any{"transactions", l.commits, "total", l.Stored}, left)...)
	l.rejects.flush()
	l.unlogged, l.commits = mta.Outcome{}, 0
}

// maxLoggedRejects is how many rejects are logged one by one between two
// flushes. The database has all of them.
const maxLoggedRejects = 5

// A rejectLog logs rejects without flooding the log.
type rejectLog struct {
	log     *slog.Logger
	logged  int
	skipped int64
}

func newRejectLog(log *slog.Logger) *rejectLog { return &rejectLog{log: log} }

func (r *rejectLog) add(c ingest.Commit) {
	for _, part := range c.Batch.Parts {
		for _, x := range part.Rejects {
			if r.logged++; r.logged > maxLoggedRejects {
				r.skipped += x.Lines()
				continue
			}
			attributes := []any{"source", part.Source, "line", x.Line}
			if x.Lines() > 1 {
				attributes = append(attributes, "last_line", x.Last)
			}
			r.log.Warn("rejected", append(attributes, "reason", x.Reason)...)
		}
	}
}

// flush logs how many rejects were skipped since the last flush.
func (r *rejectLog) flush() {
	if r.skipped > 0 {
		r.log.Warn("rejected more", "rows", r.skipped, "hint", "list all: consumer rejects")
	}
	r.logged, r.skipped = 0, 0
}

// formatCount writes 1234567 as 1,234,567.
func formatCount(n int64) string { return humanize.Comma(n) }
