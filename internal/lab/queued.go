package lab

import (
	"context"
	"errors"

	"turnstile/internal/stream"
)

// queued hands its rows to the queue and goes on: a row is done when the queue
// has it on disk. One writer, a process of its own, stores what has arrived,
// many rows a transaction. No one waits for a lock, because no two want it.
var _ = register(Strategy{
	Rank: 7, Name: "queued",
	Does:    "the processes publish, done when the queue has the row on disk; one writer stores",
	Where:   "before publishing, in all processes at once",
	Journal: "wal", Queue: ToQueue,

	start: startQueued,
})

func startQueued(p *process) (worker, error) {
	ctx := context.Background()
	conn, err := p.dial(ctx)
	if err != nil {
		return worker{}, err
	}
	queued := make(chan struct{}, 1)
	publisher, err := conn.Publisher(ctx, stream.PublisherOptions{
		Done: func(stream.Receipt) { queued <- struct{}{} },
	})
	if err != nil {
		return worker{}, errors.Join(err, conn.Close())
	}
	return worker{
		write: func(rows []row) error {
			for range rows {
				p.task()
			}
			p.wants()
			if err := publisher.Publish(ctx, chunk(rows)); err != nil {
				return err
			}
			<-queued
			return nil
		},
		close: func() error { return errors.Join(publisher.Close(), conn.Close()) },
	}, nil
}
