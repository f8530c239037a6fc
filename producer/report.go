package main

// The result: counts of rows, as text and JSON.

import (
	"fmt"
	"io"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/stream"
)

// counts count the rows that are done. The last three are null unless
// --confirm stored.
type counts struct {
	Rows         int64  `json:"rows"`
	Messages     int64  `json:"messages"`
	Blank        int64  `json:"blank"`
	Stored       *int64 `json:"stored"`
	AlreadyThere *int64 `json:"already_there"`
	Rejected     *int64 `json:"rejected"`
}

type fileResult struct {
	File   string `json:"file"`
	Source string `json:"source"`
	counts
}

type result struct {
	counts
	Seconds       float64      `json:"seconds"`
	RowsPerSecond float64      `json:"rows_per_second"`
	Asked         *float64     `json:"asked_rows_per_second"` // null for --rate max
	Confirm       string       `json:"confirm"`
	Interrupted   bool         `json:"interrupted"`
	Files         []fileResult `json:"files"`
}

func newCounts(stored bool) counts {
	if !stored {
		return counts{}
	}
	return counts{Stored: new(int64), AlreadyThere: new(int64), Rejected: new(int64)}
}

// add counts a message that is done.
func (c *counts) add(r stream.Receipt) {
	c.Messages++
	c.Blank += int64(r.Chunk.Blank)
	if c.Stored == nil {
		c.Rows += int64(r.Chunk.Records)
		return
	}
	*c.Stored += int64(r.Outcome.Stored)
	*c.AlreadyThere += int64(r.Outcome.AlreadyThere)
	*c.Rejected += int64(r.Outcome.Rejected)
	c.Rows = *c.Stored + *c.AlreadyThere + *c.Rejected
}

// doneRows returns the number of rows that are done.
func (s *sender) doneRows() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result.Rows
}

// currentResult returns the result so far.
func (s *sender) currentResult(interrupted bool) *result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.result
	r.Interrupted = interrupted
	if s.started {
		r.Seconds = time.Since(s.startTime).Seconds()
		r.RowsPerSecond = float64(r.Rows) / r.Seconds
	}
	return r
}

func (r *result) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s, %.1f s, %s rows/s", plural(r.Rows, "row"), plural(r.Messages, "message"), r.Seconds, formatRate(r.RowsPerSecond))
	if r.Asked != nil {
		fmt.Fprintf(&b, " (asked: %s)", formatRate(*r.Asked))
	}
	if r.Stored == nil {
		fmt.Fprint(&b, ": queued\n")
	} else {
		fmt.Fprintf(&b, ": %s stored, %s already there, %s rejected\n", formatCount(*r.Stored), formatCount(*r.AlreadyThere), formatCount(*r.Rejected))
	}
	if r.Blank > 0 {
		fmt.Fprintf(&b, "%s skipped\n", plural(r.Blank, "blank record"))
	}
	if len(r.Files) > 1 {
		for _, f := range r.Files {
			fmt.Fprintf(&b, "  %s: %s\n", f.File, plural(f.Rows, "row"))
		}
	}
	if r.Rejected != nil && *r.Rejected > 0 {
		fmt.Fprintln(&b, cli.Typeable("to list the rejected rows with reasons: consumer rejects"))
	}
	return cli.WriteText(w, b.String())
}

// formatRate shows two digits of a slow rate, which would round to 0.
func formatRate(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.2g", rate)
	}
	return formatCount(int64(rate))
}
