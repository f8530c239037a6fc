package main

// The pace of sending: --rate, --every, --message-size.

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/time/rate"

	"turnstile/internal/cli"
	"turnstile/internal/stream"
)

// A pace is a number of rows per second; 0 means unlimited.
type pace float64

// unlimited reports whether rows are sent without a pause, many per message.
func (p pace) unlimited() bool { return p == 0 }

func parseRate(s string) (pace, error) {
	if s == "max" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n > 0) || math.IsInf(n, 0) {
		return 0, cli.Usagef("use a rate such as 10/s or 600/m, or max for no pause", "--rate is %q", s)
	}
	return pace(n / per), nil
}

func parseEvery(d time.Duration) (pace, error) {
	if d <= 0 {
		return 0, cli.Usagef("use --rate max for no pause", "--every is %s, want more than 0", d)
	}
	return pace(1 / d.Seconds()), nil
}

// limiter returns a limiter with a burst of 1/50 s. Timers fire about a
// millisecond late: without the burst a high rate would be missed.
func (p pace) limiter() *rate.Limiter {
	if p.unlimited() {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(p), max(1, int(p/50)))
}

func parseMessage(s string) (int, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > stream.MaxMessage {
		return 0, cli.Usagef("use a size such as 64KiB, 960KiB at most", "--message-size is %q", s)
	}
	return int(n), nil
}

func formatCount(n int64) string { return humanize.Comma(n) }
