package main

// What has been stored so far, said once a second at most.
// Numbers and rejects, as a person reads them.

import (
	"log/slog"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
)

// sayEvery is how often the log says what was stored: often enough to see a
// slow stream move, seldom enough to read a fast one.
const sayEvery = time.Second

type total struct {
	Stored       int64   `json:"stored"`
	AlreadyThere int64   `json:"already_there"`
	Rejected     int64   `json:"rejected"`
	Transactions int64   `json:"transactions"`
	Seconds      float64 `json:"seconds"`
	Interrupted  bool    `json:"interrupted"`
}

// A tally counts commits and logs them.
type tally struct {
	total
	log     *slog.Logger
	rejects *rejectLog
	start   time.Time

	mu      sync.Mutex // guards all below, and total
	unsaid  mta.Outcome
	commits int
	timer   *time.Timer // runs while something is unsaid
}

func newTally(log *slog.Logger) *tally {
	return &tally{log: log, rejects: newRejectLog(log), start: time.Now()}
}

func (t *tally) add(c ingest.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rejects.add(c)
	for _, o := range c.Outcomes {
		t.unsaid = t.unsaid.Add(o)
		t.Stored += int64(o.Stored)
		t.AlreadyThere += int64(o.AlreadyThere)
		t.Rejected += int64(o.Rejected)
	}
	t.Transactions++
	t.commits++
	t.Seconds = time.Since(t.start).Seconds()
	if t.timer == nil {
		t.timer = time.AfterFunc(sayEvery, t.flush)
	}
}

// flush says what has not been said yet.
func (t *tally) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		return
	}
	t.timer.Stop()
	t.timer = nil
	t.log.Info("stored", "rows", t.unsaid.Stored, "already_there", t.unsaid.AlreadyThere,
		"rejected", t.unsaid.Rejected, "transactions", t.commits, "total", t.Stored)
	t.rejects.flush()
	t.unsaid, t.commits = mta.Outcome{}, 0
}

// count writes 1234567 as 1,234,567.
func count(n int64) string { return humanize.Comma(n) }

// mostNamed is how many rejects are named in the log between two flushes; the
// others are counted, and the database has them all.
const mostNamed = 5

// A rejectLog says which rows are rejected, without drowning the log.
type rejectLog struct {
	log    *slog.Logger
	named  int
	silent int64
}

func newRejectLog(log *slog.Logger) *rejectLog { return &rejectLog{log: log} }

func (r *rejectLog) add(c ingest.Commit) {
	for _, part := range c.Batch.Parts {
		for _, x := range part.Rejects {
			if r.named++; r.named > mostNamed {
				r.silent++
				continue
			}
			r.log.Warn("rejected", "source", part.Source, "line", x.Line, "reason", x.Reason)
		}
	}
}

// flush says how many were not named since the last flush.
func (r *rejectLog) flush() {
	if r.silent > 0 {
		r.log.Warn("rejected more", "rows", r.silent, "all", "consumer rejects")
	}
	r.named, r.silent = 0, 0
}
