package main

// The lab: many processes, one database, with and without the queue.

import (
	"context"
	"encoding/json"
	"fmt"
)

// A trial is what contention --format json says of one.
type trial struct {
	Strategy    string         `json:"strategy"`
	Processes   int            `json:"processes"`
	Asked       int            `json:"asked"`
	Stored      int            `json:"stored"`
	Lost        int            `json:"lost"`
	Unaccounted int            `json:"unaccounted"`
	Errors      map[string]int `json:"errors"`
	Rate        float64        `json:"rows_per_second"`
	Wait        struct {
		P50 *float64 `json:"p50"`
		P99 *float64 `json:"p99"`
		Max *float64 `json:"max"`
	} `json:"wait_ms"`
	PerProcess struct {
		Min int `json:"min"`
		Max int `json:"max"`
	} `json:"per_process"`
	Fairness *float64 `json:"fairness"`
}

func (b *bench) lab(ctx context.Context) (err error) {
	dir, err := b.scratch()
	if err != nil {
		return err
	}
	defer func() { err = b.remove(dir, err) }()
	if err := settle(); err != nil {
		return err
	}
	_, _, out, err := run(ctx, command{name: "contention", path: b.path("contention"), args: []string{
		"--strategies", "all", "--processes", "1,4,8,16", "--task", "0", "--for", fmt.Sprint(b.seconds, "s"), "--dir", dir, "--format", "json",
	}})
	if err != nil {
		return err
	}
	var doc struct {
		Trials []trial `json:"trials"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return fmt.Errorf("what contention wrote: %w", err)
	}
	b.report.Lab = doc.Trials
	return nil
}
