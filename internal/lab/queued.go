package lab

import (
	"context"
	"errors"

	"turnstile/internal/stream"
)

// startQueued prepares queued: a process publishes its rows and goes on. A row
// is done when the queue has it on disk. The single writer stores what has
// arrived, many rows a transaction. No process waits for a lock, because only
// one wants it.
func startQueued(p *process) (implementation, error) {
	ctx := context.Background()
	conn, err := p.dial(ctx)
	if err != nil {
		return implementation{}, err
	}
	queued := make(chan struct{}, 1)
	publisher, err := conn.Publisher(ctx, stream.PublisherOptions{
		Done: func(stream.Receipt) { queued <- struct{}{} },
	})
	if err != nil {
		return implementation{}, errors.Join(err, conn.Close())
	}
	return implementation{
		write: func(rows []row) error {
			for range rows {
				p.task()
			}
			p.wants()
			if err := publisher.Publish(ctx, message(rows)); err != nil {
				return err
			}
			<-queued
			return nil
		},
		close: func() error { return errors.Join(publisher.Close(), conn.Close()) },
	}, nil
}
