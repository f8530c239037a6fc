package main

// The result: what is done, and what became of it.

import (
	"fmt"
	"io"
	"strings"
	"time"

	"turnstile/internal/stream"
)

// counts are of rows that are done. The last three are null unless a consumer
// was asked.
type counts struct {
	Rows         int64  `json:"rows"`
	Messages     int64  `json:"messages"`
	Blank        int64  `json:"blank"`
	Stored       *int64 `json:"stored"`
	AlreadyThere *int64 `json:"already_there"`
	Rejected     *int64 `json:"rejected"`
}

type fileReport struct {
	File   string `json:"file"`
	Source string `json:"source"`
	counts
}

type report struct {
	counts
	Seconds       float64      `json:"seconds"`
	RowsPerSecond float64      `json:"rows_per_second"`
	Confirm       string       `json:"confirm"`
	Interrupted   bool         `json:"interrupted"`
	Files         []fileReport `json:"files"`
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

// rows counts those that are done.
func (s *sender) rows() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result.Rows
}

// report is the result so far.
func (s *sender) report(interrupted bool) *report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.result
	r.Interrupted = interrupted
	if s.begun {
		r.Seconds = time.Since(s.start).Seconds()
		r.RowsPerSecond = float64(r.Rows) / r.Seconds
	}
	return r
}

func (r *report) text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s, %.1f s, %s rows/s", count(r.Rows, "row"), count(r.Messages, "message"), r.Seconds, perSecond(r.RowsPerSecond))
	if r.Stored == nil {
		fmt.Fprint(&b, ": queued\n")
	} else {
		fmt.Fprintf(&b, ": %s stored, %s already there, %s rejected\n", comma(*r.Stored), comma(*r.AlreadyThere), comma(*r.Rejected))
	}
	if r.Blank > 0 {
		fmt.Fprintf(&b, "%s passed over\n", count(r.Blank, "blank record"))
	}
	if len(r.Files) > 1 {
		for _, f := range r.Files {
			fmt.Fprintf(&b, "  %s: %s\n", f.File, count(f.Rows, "row"))
		}
	}
	if r.Rejected != nil && *r.Rejected > 0 {
		fmt.Fprint(&b, "which rows were rejected, and why: consumer rejects\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// perSecond keeps a slow pace from being none.
func perSecond(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.2g", rate)
	}
	return comma(int64(rate))
}
