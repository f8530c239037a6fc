package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/store"
	"turnstile/internal/stream"
)

const batchRows = 20_000 // as the consumer's

// runWriter is the single writer: a process that does with the queue what the
// pipeline's consumer does, through the same ingest and the same store. The
// broker runs in it, as in an application that embeds it: a row then takes one
// socket less.
func (p *process) runWriter(ctx context.Context) (err error) {
	quiet := slog.New(slog.DiscardHandler)
	server, err := startBroker(ctx, filepath.Dir(p.job.Database), p.job.Setting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	db, err := store.Open(ctx, p.job.Database, store.Options{
		BusyTimeout: p.job.BusyTimeout, Unsafe: p.job.Sync == "normal", Log: quiet,
		Begun: p.rec.hasLock, Ended: p.rec.released,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := stream.Connect(ctx, stream.Config{
		Servers: server.URL(), Name: "contention writer", Role: "consumer", Log: quiet,
		Options: []nats.Option{nats.InProcessServer(server)},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	reader, err := conn.Reader(ctx, stream.ReaderOptions{Database: db, Batch: batchRows})
	if err != nil {
		return err
	}
	requests, err := reader.Requests()
	if err != nil {
		return err
	}
	if err := p.rec.writeLine("server %s", server.URL()); err != nil {
		return err
	}
	if err := p.barrier(); err != nil {
		return err
	}
	taking, stop := context.WithCancel(ctx)
	defer stop()
	p.drain = func() error { return waitDrained(ctx, reader, stop) }
	done := make(chan error, 1)
	go func() {
		err := ingest.Run(ctx, mergeMessages(taking, reader, requests), &timedStore{DB: db, rec: p.rec}, ingest.Options{Rows: batchRows, Log: quiet})
		done <- errors.Join(err, requests.Close(), reader.Close())
	}()
	if err := p.waitForEnd(ctx, done, p.job.Limit()+2*drainLimit); err != nil {
		return err
	}
	return p.rec.finish(0)
}

// mergeMessages takes messages from the queue and from requests, until ctx
// ends.
func mergeMessages(ctx context.Context, reader *stream.Reader, requests *stream.Requests) <-chan ingest.Message {
	in := make(chan ingest.Message, 64) // so that a message does not wait for the one before to be parsed
	var wg sync.WaitGroup
	for _, next := range []func(context.Context) (*stream.Delivery, error){reader.Next, requests.Next} {
		wg.Go(func() {
			for {
				m, err := next(ctx)
				if err != nil {
					return // ctx ended, or the broker is gone and with it the trial
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

// waitDrained stops the writer when all queued rows are stored.
func waitDrained(ctx context.Context, reader *stream.Reader, stop func()) error {
	for {
		empty, err := reader.Drained(ctx)
		if err != nil {
			return err
		}
		if empty {
			stop()
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// timedStore records each write of the store, and for how many rows. The store
// itself tells when it has the lock and when it has released it.
type timedStore struct {
	*store.DB
	rec  *recorder
	rows int // so far
}

func (s *timedStore) Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	s.rec.begin(s.rows, b.Rows(), s.rec.since())
	s.rec.wants()
	// A context that can end costs the driver a goroutine a statement.
	outcomes, err := s.DB.Write(context.WithoutCancel(ctx), b)
	for _, o := range outcomes {
		if o.Rejected > 0 {
			err = errors.Join(err, fmt.Errorf("lab: the writer rejected %d rows of the trial", o.Rejected))
		}
	}
	code, err := resultCode(err)
	if err != nil {
		return outcomes, err
	}
	s.rec.end(code)
	s.rows += b.Rows()
	return outcomes, err
}
