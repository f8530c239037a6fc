package main

// Where the time goes: each stage alone, on a machine that it has to itself.

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func (b *bench) stages(ctx context.Context) error {
	in, err := b.input(ctx, slices.Max(b.rows))
	if err != nil {
		return err
	}
	c := comparison{
		Name: "stages", Title: "each stage alone",
		Note: "The sum of the CPU seconds of all three, by the number of processors, is the least the pipeline can take.",
	}
	err = b.alternate(ctx, c, in, []subject{
		{"pipeline", b.pipeline()},
		{"producer and broker alone", b.publishOnly},
		{"consumer and broker alone", b.drainOnly},
		{"load, no broker", b.load("--verify=false")},
	})
	return errors.Join(err, b.benchmarks(ctx))
}

// publishOnly fills a queue that nobody reads.
func (b *bench) publishOnly(ctx context.Context, in input, dir string) (s sample, err error) {
	q, err := b.broker(ctx, dir)
	if err != nil {
		return s, err
	}
	seconds, producer, _, err := run(ctx, b.producer(q, in, "--confirm", "queued"))
	u, stopErr := q.stop()
	return sample{seconds: seconds, processes: []usage{producer, u}}, errors.Join(err, stopErr)
}

// drainOnly stores what is in the queue already. The broker's seconds contain
// the filling.
func (b *bench) drainOnly(ctx context.Context, in input, dir string) (s sample, err error) {
	q, err := b.broker(ctx, dir)
	if err != nil {
		return s, err
	}
	_, _, _, err = run(ctx, b.producer(q, in, "--confirm", "queued"))
	db := filepath.Join(dir, "rides.db")
	if err == nil {
		err = settle()
	}
	var u usage
	if err == nil {
		began := time.Now()
		var p *process
		if p, err = b.consumer(ctx, q, db, "--until-drained"); err == nil {
			u, err = p.wait()
		}
		s.seconds = time.Since(began).Seconds()
	}
	broker, stopErr := q.stop()
	s.processes = []usage{u, broker}
	if err = errors.Join(err, stopErr); err != nil {
		return s, err
	}
	s.database, err = counted(ctx, db, "ride", in.rows)
	return s, err
}

// A benchmark is what Go's own benchmarks say of a part.
type benchmark struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

// benchmarks runs those of parsing and storing: what they cost alone.
func (b *bench) benchmarks(ctx context.Context) error {
	for _, pkg := range []string{"mta", "store"} {
		cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=.", "turnstile/internal/"+pkg)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[0], "Benchmark") {
				b.report.Benchmarks = append(b.report.Benchmarks, benchmark{pkg + "." + strings.TrimPrefix(f[0], "Benchmark"), strings.Join(f[2:], " ")})
			}
		}
	}
	return nil
}
