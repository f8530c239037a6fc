package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/lab/report"
	"turnstile/internal/mta"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

const (
	queueBytes   = 4 << 30
	syncInterval = 2 * time.Second // where a commit need not survive a power cut
)

// startQueue starts a broker with an empty stream, the same as the pipeline's,
// in the folder of the trial. The stream is filled with the rows of the trial
// where its processes take them from there. For a strategy without a queue it
// does nothing.
func startQueue(ctx context.Context, dir string, s report.Setting) (url string, stop func() error, err error) {
	q := report.Find(s.Strategy).Queue
	if q == report.NoQueue {
		return "", func() error { return nil }, nil
	}
	c := natsd.Config{
		Listen: "127.0.0.1:0", Store: filepath.Join(dir, "queue"), MaxStore: queueBytes, Log: slog.New(slog.DiscardHandler),
	}
	if s.Sync != "full" || q == report.FromQueue {
		// A queue that is filled before the trial need not be synced row by
		// row: no process is told that its row is safe.
		c.Sync = syncInterval
	}
	server, err := natsd.Start(c)
	if err != nil {
		return "", nil, err
	}
	if err := prepareStream(ctx, server, q, s); err != nil {
		return "", nil, errors.Join(err, server.Stop())
	}
	return server.URL(), server.Stop, nil
}

func prepareStream(ctx context.Context, server *natsd.Server, q report.Queue, s report.Setting) error {
	nc, err := server.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := stream.Ensure(ctx, nc, queueBytes/10*9, 1); err != nil {
		return err
	}
	if q != report.FromQueue {
		return nil
	}
	if err := fillQueue(ctx, server.URL(), s); err != nil {
		return fmt.Errorf("lab: fill the queue: %w", err)
	}
	return createSharedConsumer(ctx, nc, s)
}

// filledRows a second are more than the fastest consumers took that this was
// tried with. A queue that becomes empty ends the trial early.
const filledRows = 15_000

func fillQueue(ctx context.Context, url string, s report.Setting) (err error) {
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
		rows = int(filledRows * s.For.Seconds())
	}
	for i := range rows {
		if err := publisher.Publish(ctx, message([]row{nthRow(s, i)})); err != nil {
			return err
		}
	}
	return publisher.Flush(ctx)
}

// createSharedConsumer creates the consumer that all processes take from.
func createSharedConsumer(ctx context.Context, nc *nats.Conn, s report.Setting) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateConsumer(ctx, stream.Name, jetstream.ConsumerConfig{
		Durable: sharedConsumer, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		// No row may be redelivered while its process still waits for the lock.
		AckWait: s.Limit() + time.Minute,
	})
	return err
}

// message makes a message of adjacent rows.
func message(rows []row) mta.Chunk {
	c := mta.Chunk{Source: sourceName, Columns: columns, Line: uint32(rows[0]), Records: len(rows)}
	for _, r := range rows {
		c.Data = r.appendRecord(c.Data)
	}
	return c
}

func (p *process) dial(ctx context.Context) (*stream.Conn, error) {
	return dial(ctx, p.job.Server, fmt.Sprintf("P%d", p.job.Process))
}

func dial(ctx context.Context, url, name string) (*stream.Conn, error) {
	return stream.Connect(ctx, stream.Config{
		Servers: url, Name: "contention " + name, Role: "producer", Log: slog.New(slog.DiscardHandler),
	})
}
