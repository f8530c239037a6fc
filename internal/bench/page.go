package main

// What it costs the writer that somebody looks on.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// page compares the pipeline with one that a page shows. The CPU seconds of the
// consumer say what the page costs; the page's own are the last.
func (b *bench) page(ctx context.Context) error {
	samples, err := b.compare(ctx, "pipeline with a page that shows it", b.rows, b.rounds,
		way{"no page", b.pipeline}, way{"consumer page", b.pipelineWithPage})
	if err != nil {
		return err
	}
	const consumer = 1 // producer, consumer, broker
	var more []float64
	for i := range samples[0] {
		more = append(more, samples[1][i].processes[consumer].CPU/samples[0][i].processes[consumer].CPU)
	}
	ratio := spreadOf(more)
	b.target("consumer's CPU seconds, with a page and without", "<= 1.05", ratio.Median <= 1.05, ratio.text(2))
	return nil
}

func (b *bench) pipelineWithPage(ctx context.Context, file, dir string, rows int) (sample, error) {
	var used usage
	s, err := b.pipelineBeside(ctx, file, dir, rows, func(address, db string, run func() error) error {
		listen, err := freeAddress()
		if err != nil {
			return err
		}
		page, err := b.start(ctx, "", "consumer", "page", "--server", address, "--db", db, "--http", listen)
		if err != nil {
			return err
		}
		if err = listens(ctx, "http://"+listen+"/saved.html"); err == nil {
			err = run()
		}
		var stopErr error
		used, stopErr = page.stop()
		return errors.Join(err, stopErr)
	})
	s.processes = append(s.processes, used)
	return s, err
}

// listens waits until a page hears the broker: from then on the others know of it.
func listens(ctx context.Context, url string) (err error) {
	for began := time.Now(); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > startLimit {
			return fmt.Errorf("the page does not hear the broker: %w", err)
		}
		answer, getErr := http.Get(url)
		if getErr != nil {
			err = getErr
			continue
		}
		text, readErr := io.ReadAll(answer.Body)
		if err = errors.Join(readErr, answer.Body.Close()); err == nil && strings.Contains(string(text), `"broker":true`) {
			return nil
		}
	}
	return ctx.Err()
}
