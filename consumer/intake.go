package main

// What comes in: rows from the queue, and requests past it, to one writer.

import (
	"context"
	"errors"
	"sync"

	"turnstile/internal/ingest"
	"turnstile/internal/stream"
)

// An intake takes messages from the queue and requests from their senders.
type intake struct {
	reader   *stream.Reader
	requests *stream.Requests

	wg  sync.WaitGroup
	mu  sync.Mutex // guards err
	err error
}

// start hands on what comes until ctx ends, and closes the channel then. An
// error that ends one of the two ends both, through stop.
func (n *intake) start(ctx context.Context, stop func()) <-chan ingest.Message {
	messages := make(chan ingest.Message)
	take := func(next func(context.Context) (*stream.Delivery, error)) {
		if err := pump(ctx, next, messages); err != nil {
			n.mu.Lock()
			n.err = errors.Join(n.err, err)
			n.mu.Unlock()
			stop()
		}
	}
	n.wg.Go(func() { take(n.reader.Next) })
	n.wg.Go(func() { take(n.requests.Next) })
	go func() {
		n.wg.Wait()
		close(messages)
	}()
	return messages
}

func pump(ctx context.Context, next func(context.Context) (*stream.Delivery, error), messages chan<- ingest.Message) error {
	for {
		m, err := next(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return m.Nak() // or the next writer would wait for it
		}
	}
}

// close gives back what was fetched and not taken. The context given to start
// must have ended.
func (n *intake) close() error {
	n.wg.Wait()
	return errors.Join(n.err, n.requests.Close(), n.reader.Close())
}
