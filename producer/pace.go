package main

// How fast rows are sent, and how many bytes of them at a time.

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

// A pace is how many rows are sent a second; 0 is no pause at all.
type pace float64

// full says that there is no pause: rows then share messages.
func (p pace) full() bool { return p == 0 }

func parseRate(s string) (pace, error) {
	if s == "max" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n > 0) || math.IsInf(n, 0) {
		return 0, cli.Usagef("such as 10/s, 600/m, or max for no pause", "--rate is %q", s)
	}
	return pace(n / per), nil
}

func everySo(d time.Duration) (pace, error) {
	if d <= 0 {
		return 0, cli.Usagef("use --rate max for no pause", "--every is %s, want more than 0", d)
	}
	return pace(1 / d.Seconds()), nil
}

// limiter keeps the pace. A timer is late by a millisecond or so; at a high
// rate that is many rows, which then go out together, or the rate would be
// missed. 1/50 s is not seen.
func (p pace) limiter() *rate.Limiter {
	if p.full() {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(p), max(1, int(p/50)))
}

func parseMessage(s string) (int, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > stream.MaxMessage {
		return 0, cli.Usagef("a size such as 64KiB, up to 960KiB", "--message-size is %q", s)
	}
	return int(n), nil
}

func comma(n int64) string { return humanize.Comma(n) }
