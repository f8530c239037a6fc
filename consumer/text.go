package main

// Numbers and rejects, as a person reads them.

import (
	"log/slog"

	"github.com/dustin/go-humanize"

	"turnstile/internal/ingest"
)

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
