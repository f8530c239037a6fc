package lab

// The queue of a trial: the same broker, stream and messages as the
// pipeline's, in the folder of the trial.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

const (
	queueBytes   = 4 << 30
	intervalSync = 2 * time.Second // where a commit need not survive a power cut
)

// startQueue starts a broker with an empty stream, or one that has the rows of
// the trial where its processes take them from there. Without a queue there is
// nothing to start or stop.
func startQueue(ctx context.Context, q Queue, place string, s Setting) (url string, stop func() error, err error) {
	if q == NoQueue {
		return "", func() error { return nil }, nil
	}
	c := natsd.Config{
		Listen: "127.0.0.1:0", Store: filepath.Join(place, "queue"), MaxStore: queueBytes, Log: slog.New(slog.DiscardHandler),
	}
	if s.Sync != "full" || q == FromQueue {
		// What a queue is filled with before the trial begins need not be
		// synced row by row: no one is told that it is safe.
		c.Sync = intervalSync
	}
	server, err := natsd.Start(c)
	if err != nil {
		return "", nil, err
	}
	if err := prepare(ctx, server, q, s); err != nil {
		return "", nil, errors.Join(err, server.Stop())
	}
	return server.URL(), server.Stop, nil
}

func prepare(ctx context.Context, server *natsd.Server, q Queue, s Setting) error {
	nc, err := server.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := stream.Ensure(ctx, nc, queueBytes/10*9, 1); err != nil {
		return err
	}
	if q != FromQueue {
		return nil
	}
	if err := fillQueue(ctx, server.URL(), s); err != nil {
		return fmt.Errorf("lab: fill the queue: %w", err)
	}
	return shareOut(ctx, nc, s)
}

// enough rows a second for the fastest consumers that this was seen with, and
// some more: a queue that runs dry would end the trial.
const enough = 15_000

func fillQueue(ctx context.Context, url string, s Setting) (err error) {
	conn, err := dial(ctx, url, "filler")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	publisher, err := conn.Publisher(ctx, stream.PublisherOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, publisher.Close()) }()
	rows := s.Processes * s.Rows
	if s.For > 0 {
		rows = int(enough * s.For.Seconds())
	}
	for i := range rows {
		if err := publisher.Publish(ctx, chunk([]row{s.nth(i)})); err != nil {
			return err
		}
	}
	return publisher.Flush(ctx)
}

// shareOut makes the consumer that all processes take from.
func shareOut(ctx context.Context, nc *nats.Conn, s Setting) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateConsumer(ctx, stream.Name, jetstream.ConsumerConfig{
		Durable: many, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		// No row must come again while its process still waits for the lock.
		AckWait: s.deadline() + time.Minute,
	})
	return err
}

// chunk makes a message of rows that follow on one another.
func chunk(rows []row) mta.Chunk {
	c := mta.Chunk{Source: sourceName, Columns: columns, Line: uint32(rows[0]), Records: len(rows)}
	for _, r := range rows {
		c.Data = r.appendRecord(c.Data)
	}
	return c
}

func (p *process) dial(ctx context.Context) (*stream.Conn, error) {
	return dial(ctx, p.spec.Server, fmt.Sprintf("P%d", p.spec.Process))
}

func dial(ctx context.Context, url, name string) (*stream.Conn, error) {
	return stream.Connect(ctx, stream.Config{
		Servers: url, Name: "contention " + name, Role: "producer", Log: slog.New(slog.DiscardHandler),
	})
}
