package lab

// The one writer: a process that does with the queue what the pipeline's
// consumer does, through the same ingest and the same store.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/store"
	"turnstile/internal/stream"
)

const batchRows = 20_000 // as the consumer's

func (c *child) write(ctx context.Context, spec Spec) (err error) {
	quiet := slog.New(slog.DiscardHandler)
	db, err := store.Open(ctx, spec.Database, store.Options{BusyTimeout: spec.BusyTimeout, Unsafe: spec.Sync == "normal", Log: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := stream.Connect(ctx, stream.Config{Servers: spec.Server, Name: "contention writer", Role: "consumer", Log: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Requests first: what asks the broker afterwards on this connection has
	// its answer only when the broker knows that we take them.
	requests, err := conn.Requests()
	if err != nil {
		return err
	}
	reader, err := conn.Reader(ctx, stream.ReaderOptions{DatabaseID: db.ID(), Path: spec.Database, Batch: batchRows})
	if err != nil {
		return err
	}
	if err := c.barrier(); err != nil {
		return err
	}
	taking, enough := context.WithCancel(ctx)
	defer enough()
	c.drain = func() error { return drained(ctx, reader, enough) }
	done := make(chan error, 1)
	go func() {
		err := ingest.Run(ctx, both(taking, reader, requests), stopwatch{db, c.rec}, ingest.Options{Rows: batchRows, Log: quiet})
		done <- errors.Join(err, requests.Close(), reader.Close())
	}()
	if err := c.until(ctx, done, spec.deadline()+2*drainLimit); err != nil {
		return err
	}
	return c.rec.handIn(0)
}

// both takes from the queue and from those who ask, until ctx ends.
func both(ctx context.Context, reader *stream.Reader, requests *stream.Requests) <-chan ingest.Message {
	in := make(chan ingest.Message)
	var wg sync.WaitGroup
	for _, next := range []func(context.Context) (*stream.Delivery, error){reader.Next, requests.Next} {
		wg.Go(func() {
			for {
				m, err := next(ctx)
				if err != nil {
					return // enough, or the broker is gone and with it the trial
				}
				in <- m
			}
		})
	}
	go func() {
		wg.Wait()
		close(in)
	}()
	return in
}

// drained ends the writer's work when all that was queued is stored.
func drained(ctx context.Context, reader *stream.Reader, enough func()) error {
	for {
		empty, err := reader.Drained(ctx)
		if err != nil {
			return err
		}
		if empty {
			enough()
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stopwatch writes down when the store had the lock, and for how many rows.
type stopwatch struct {
	*store.DB
	rec *recorder
}

func (s stopwatch) Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	s.rec.begin(0, b.Rows(), s.rec.since())
	s.rec.wants()
	s.rec.hasLock() // no one else wants it
	// A context that can end costs the driver a goroutine a statement.
	outcomes, err := s.DB.Write(context.WithoutCancel(ctx), b)
	for _, o := range outcomes {
		if o.Rejected > 0 {
			err = errors.Join(err, fmt.Errorf("lab: the writer rejected %d rows of ours", o.Rejected))
		}
	}
	code, err := codeOf(err)
	if err != nil {
		return outcomes, err
	}
	s.rec.end(code)
	return outcomes, err
}
