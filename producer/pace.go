package main

// The pace of sending: --rate, --every, --message-size.

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/stream"
)

// A pace is a number of rows per second; 0 means unlimited.
type pace struct {
	rate   float64
	single bool // one row per message, always
}

// Rates in rows per second. With a lower one the time of the next row would exceed that
// of a [time.Duration], 292 years.
const (
	minRate = 1e-9
	maxRate = 1e9
)

// unlimited reports whether rows are sent without a pause.
func (p pace) unlimited() bool { return p.rate == 0 }

// asked returns the rate, or nil if it is unlimited.
func (p pace) asked() *float64 {
	if p.unlimited() {
		return nil
	}
	return &p.rate
}

func parseRate(s string) (pace, error) {
	if s == "max" {
		return pace{}, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if rate := n / per; err == nil && ok && rate >= minRate && rate <= maxRate {
		return pace{rate: rate}, nil
	}
	return pace{}, cli.Usagef("use a rate such as 10/s or 600/m, or max for no pause", "--rate is %q", s)
}

func parseEvery(d time.Duration) (pace, error) {
	if d <= 0 {
		return pace{}, cli.Usagef("use --rate max for no pause", "--every is %s, want more than 0", d)
	}
	return pace{rate: 1 / d.Seconds(), single: true}, nil
}

// A schedule says when each row is due: the n-th at begin + n/rate.
type schedule struct {
	pace
	mu      sync.Mutex
	begin   time.Time // zero before the first row
	granted int64     // rows that may be sent
	sent    int64     // rows that are given to the publisher
}

const (
	// slowRead is how long reading the next rows must take to wait for its
	// input. Rows that do not exist yet are not late.
	slowRead = 20 * time.Millisecond
	// maxCatchUp is how late a row of --every may be to be caught up with.
	maxCatchUp = time.Second
)

// dueAt returns when a row is due.
func (s *schedule) dueAt(row int64) time.Time {
	return s.begin.Add(time.Duration(float64(row) / s.rate * float64(time.Second)))
}

// wait waits until a row is due, and then until acked returns. It returns how
// many rows are due by then: those that fall due while earlier ones are in
// flight travel together. With --every it returns 1 as soon as a row is due.
func (s *schedule) wait(ctx context.Context, acked func(context.Context) error) (rows int64, err error) {
	s.mu.Lock()
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	due := s.dueAt(s.granted)
	s.mu.Unlock()
	select {
	case <-time.After(time.Until(due)):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if s.single {
		s.postpone(0, maxCatchUp)
	} else if err := acked(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows = 1
	if !s.single {
		rows = max(1, int64(time.Since(s.begin).Seconds()*s.rate)+1-s.granted)
	}
	s.granted += rows
	return rows, ctx.Err()
}

// postpone takes back the grant of unsent rows. If the next row is late by more
// than this, it moves the schedule so that the row is due now.
func (s *schedule) postpone(unsent int64, late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begin.IsZero() {
		return
	}
	s.granted -= unsent
	if is := time.Since(s.dueAt(s.granted)); is > late {
		s.begin = s.begin.Add(is)
	}
}

// send notes that rows are given to the publisher.
func (s *schedule) send(rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += int64(rows)
}

// late returns how late the first row is that is not done. A row that has not
// been read yet is not late.
func (s *schedule) late(done int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done >= s.sent {
		return 0
	}
	return time.Since(s.dueAt(done))
}

// reportLate logs when the pace can't be held and when it is held again. done
// returns the number of rows that are done; roundTrip is the network's share of
// a row's delay. Without a connection it logs nothing: that has been logged.
func (s *schedule) reportLate(ctx context.Context, log *slog.Logger, done func() int64, connected func() bool, roundTrip time.Duration) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since := int64(0), time.Time{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		n := done()
		late := s.late(n)
		switch isLate := late > time.Second+2*roundTrip; {
		case isLate && since.IsZero() && connected():
			since = time.Now()
			log.Warn("the rate is not reached", "asked_per_second", formatRate(s.rate), "reached_per_second", formatRate(float64(n-last)),
				"late", late.Round(100*time.Millisecond))
		case !isLate && !since.IsZero():
			log.Info("the rate is reached again", "after", time.Since(since).Round(time.Millisecond))
			since = time.Time{}
		}
		last = n
	}
}

func parseMessage(s string) (int, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > stream.MaxMessage {
		return 0, cli.Usagef("use a size such as 64KiB, 960KiB at most", "--message-size is %q", s)
	}
	return int(n), nil
}

func formatCount(n int64) string { return humanize.Comma(n) }
