package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// acknowledgements arrive after a while.
func ackedAfter(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return nil
	}
}

func TestScheduleGrants(t *testing.T) {
	for name, c := range map[string]struct {
		pace  pace
		acked time.Duration
		want  []int64
		took  time.Duration
	}{
		"alone while the broker keeps up":     {pace{rate: 10}, 0, []int64{1, 1, 1, 1}, 300 * time.Millisecond},
		"together while others are in flight": {pace{rate: 10}, 350 * time.Millisecond, []int64{4, 4, 4, 4}, 1550 * time.Millisecond},
		"--every: one by one, in any case":    {pace{rate: 10, single: true}, time.Hour, []int64{1, 1, 1, 1}, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, start := &schedule{pace: c.pace}, time.Now()
				for i, want := range c.want {
					if got, err := s.wait(t.Context(), ackedAfter(c.acked)); err != nil || got != want {
						t.Errorf("wait %d granted %d rows, %v, want %d", i, got, err, want)
					}
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

// After a stall --rate catches up, and --every does not: its rows are events
// that a person watches.
func TestScheduleCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate, every := &schedule{pace: pace{rate: 1}}, &schedule{pace: pace{rate: 1, single: true}}
		for _, s := range []*schedule{rate, every} {
			if _, err := s.wait(t.Context(), ackedAfter(0)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got, err := rate.wait(t.Context(), ackedAfter(0)); err != nil || got != 60 {
			t.Errorf("--rate granted %d rows, %v, want 60", got, err)
		}
		start := time.Now()
		for range 3 {
			if _, err := every.wait(t.Context(), ackedAfter(0)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("three rows of --every took %s, want 2s", took)
		}
	})
}

// Rows that did not exist yet are not late: an idle pipe earns no burst.
func TestScheduleWaitsForInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &schedule{pace: pace{rate: 10}}
		granted, err := s.wait(t.Context(), ackedAfter(time.Second))
		if err != nil || granted != 11 {
			t.Fatalf("granted %d, %v", granted, err)
		}
		time.Sleep(time.Minute) // one row is read
		s.postpone(granted-1, 0)
		if late := s.late(0); late != 0 {
			t.Errorf("late by %s although nothing is sent", late)
		}
		start := time.Now()
		for range 3 {
			if got, err := s.wait(t.Context(), ackedAfter(0)); err != nil || got != 1 {
				t.Errorf("granted %d, %v, want 1", got, err)
			}
		}
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("three rows took %s, want 200ms", took)
		}
	})
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &schedule{pace: pace{rate: 0.001}, granted: 1}
	if _, err := s.wait(ctx, ackedAfter(0)); err == nil {
		t.Error("want an error")
	}
}

func TestReportLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &schedule{pace: pace{rate: 100}, begin: time.Now()}
		start := time.Now()
		done := func() int64 {
			passed := time.Since(start).Seconds()
			s.sent = int64(100 * passed)
			switch {
			case passed < 10: // at half the pace
				return int64(50 * passed)
			default:
				return s.sent
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		s.reportLate(ctx, slog.New(slog.NewTextHandler(&out, nil)), done, func() bool { return time.Since(start) > 2*time.Second }, 0)
		text := out.String()
		if strings.Count(text, "the rate is not reached") != 1 || !strings.Contains(text, "asked_per_second=100 reached_per_second=50 late=1.5s") ||
			strings.Count(text, "the rate is reached again") != 1 {
			t.Errorf("logged:\n%s", text)
		}
	})
}
