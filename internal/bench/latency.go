package main

// One row a message: how fast rows are taken and stored, and how long it takes
// until a reader of the database sees one.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// A latency is what the helper program says of one rate.
type latency struct {
	Offered   float64 `json:"offered_per_second"` // 0: as fast as it goes
	Rows      int     `json:"rows"`
	Published float64 `json:"published_per_second"`
	Stored    float64 `json:"stored_per_second"`
	Visible   waits   `json:"visible_ms"` // from the moment a row is due to be published until a reader sees it
	Queued    waits   `json:"queued_ms"`  // until the queue has it on disk
	Poll      float64 `json:"poll_ms"`    // how often the reader looks, which is how exact this is
}

type waits struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// latencyRates are rows a second; 0: as fast as it goes.
var latencyRates = []int{100, 1000, 5000, 0}

func (b *bench) latency(ctx context.Context) error {
	in, err := b.input(ctx, slices.Max(latencyRates)*b.seconds)
	if err != nil {
		return err
	}
	for _, rate := range latencyRates {
		l, err := b.latencyAt(ctx, in, rate)
		if err != nil {
			return fmt.Errorf("latency at %d rows/s: %w", rate, err)
		}
		b.log.Info("measured", "what", "latency", "offered", rate, "p99_ms", l.Visible.P99)
		b.report.Latencies = append(b.report.Latencies, l)
	}
	return nil
}

func (b *bench) latencyAt(ctx context.Context, in input, rate int) (l latency, err error) {
	dir, err := b.scratch()
	if err != nil {
		return l, err
	}
	defer func() { err = b.remove(dir, err) }()
	if err := in.warm(); err != nil {
		return l, err
	}
	q, err := b.broker(ctx, dir)
	if err != nil {
		return l, err
	}
	db := filepath.Join(dir, "rides.db")
	consumer, err := b.consumer(ctx, q, db)
	if err == nil {
		l, err = b.publishOneByOne(ctx, q, in, db, rate)
		_, stopErr := consumer.stop()
		err = errors.Join(err, stopErr)
	}
	_, stopErr := q.stop()
	if err = errors.Join(err, stopErr); err == nil {
		_, err = counted(ctx, db, "ride", l.Rows)
	}
	return l, err
}

func (b *bench) publishOneByOne(ctx context.Context, q *queue, in input, db string, rate int) (l latency, err error) {
	rows := rate * b.seconds
	if rate == 0 {
		rows = in.rows
	}
	_, _, out, err := run(ctx, command{name: "latency", path: b.path("latency"), args: []string{
		"--server", q.address, "--db", db, "--rate", fmt.Sprint(rate), "--rows", fmt.Sprint(rows), in.path,
	}})
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal(out, &l)
}
