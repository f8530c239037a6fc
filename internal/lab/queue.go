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

// startBroker starts a broker with an empty stream, the same as the pipeline's,
// in the folder of the trial.
func startBroker(ctx context.Context, dir string, s report.Setting) (*natsd.Server, error) {
	c := natsd.Config{
		Listen: "127.0.0.1:0", Store: filepath.Join(dir, "queue"), MaxStore: queueBytes, Log: slog.New(slog.DiscardHandler),
	}
	if s.Sync != "full" || report.Find(s.Strategy).Queue == report.FromQueue {
		// A queue that is filled before the trial need not be synced row by
		// row: no process is told that its row is safe.
		c.Sync = syncInterval
	}
	server, err := natsd.Start(c)
	if err != nil {
		return nil, err
	}
	nc, err := server.Connect()
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	defer nc.Close()
	if err := stream.Ensure(ctx, nc, queueBytes/10*9, 1); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// startQueue starts the queue from which the processes of a trial take rows. It
// fills it, and keeps it filled until stop. For other strategies it does
// nothing: a single writer has the broker in its process.
func startQueue(ctx context.Context, dir string, s report.Setting) (url string, stop func() error, err error) {
	if report.Find(s.Strategy).Queue != report.FromQueue {
		return "", func() error { return nil }, nil
	}
	server, err := startBroker(ctx, dir, s)
	if err != nil {
		return "", nil, err
	}
	stopFilling, err := startFilling(ctx, server, s, maxFilled)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("lab: fill the queue: %w", err), server.Stop())
	}
	return server.URL(), func() error { return errors.Join(stopFilling(), server.Stop()) }, nil
}

func startFilling(ctx context.Context, server *natsd.Server, s report.Setting, ahead int) (stop func() error, err error) {
	nc, err := server.Connect()
	if err != nil {
		return nil, err
	}
	f, err := newFiller(ctx, nc, s, ahead)
	if err != nil {
		nc.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.keepFilled(ctx) }()
	return func() error {
		cancel()
		err := <-done
		nc.Close()
		return err
	}, nil
}

const (
	// filledRows a second are more than the fastest consumers took that this
	// was tried with. A queue that becomes empty ends the trial early.
	filledRows = 15_000
	// maxFilled rows are in the queue at a time. A long trial would else fill
	// the disk before it begins.
	maxFilled   = 5 * filledRows
	refillEvery = 200 * time.Millisecond
	fillLimit   = time.Minute
	// fillWindow rows are published and not acknowledged at a time. The broker
	// refuses more than 1,000 that wait for its disk.
	fillWindow = 500
)

// filler fills the queue that all processes take rows from.
type filler struct {
	js       jetstream.JetStream
	setting  report.Setting
	consumer jetstream.Consumer
	rows     int        // of the trial; the queue is refilled while it runs if there are more than ahead
	ahead    int        // rows in the queue, at most
	next     int        // the number of the next row
	refused  chan error // the first row that the broker refused
}

func newFiller(ctx context.Context, nc *nats.Conn, s report.Setting, ahead int) (*filler, error) {
	f := &filler{setting: s, rows: s.Processes * s.Rows, ahead: ahead, refused: make(chan error, 1)}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(startLimit), jetstream.WithPublishAsyncMaxPending(fillWindow),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			select {
			case f.refused <- err:
			default: // the first one is enough
			}
		}))
	if err != nil {
		return nil, err
	}
	f.js = js
	if s.For > 0 {
		f.rows = int(filledRows * s.For.Seconds())
	}
	if err := f.fill(ctx, ahead); err != nil {
		return nil, err
	}
	f.consumer, err = createSharedConsumer(ctx, js, s)
	return f, err
}

// fill publishes the next rows, in their order: their processes know a row by
// its sequence in the stream.
func (f *filler) fill(ctx context.Context, rows int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fillLimit, fmt.Errorf("%d rows were not published within %s", rows, fillLimit))
	defer cancel()
	for to := min(f.rows, f.next+rows); f.next < to; f.next++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m := &nats.Msg{Subject: stream.Subject(sourceName), Data: nthRow(f.setting, f.next).appendRecord(nil)}
		if _, err := f.js.PublishMsgAsync(m, jetstream.WithStallWait(fillLimit)); err != nil {
			return err
		}
	}
	select {
	case <-f.js.PublishAsyncComplete():
		select {
		case err := <-f.refused:
			return err
		default:
			return nil
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keepFilled refills the queue until ctx ends, and purges what is acknowledged.
func (f *filler) keepFilled(ctx context.Context) error {
	tick := time.NewTicker(refillEvery)
	defer tick.Stop()
	for f.next < f.rows {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.refill(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("lab: refill the queue: %w", err)
		}
	}
	return nil
}

func (f *filler) refill(ctx context.Context) error {
	info, err := f.consumer.Info(ctx)
	if err != nil || info.NumPending > uint64(f.ahead/2) {
		return err
	}
	s, err := f.js.Stream(ctx, stream.Name)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(info.AckFloor.Stream+1)); err != nil {
		return err
	}
	return f.fill(ctx, f.ahead/2)
}

// createSharedConsumer creates the consumer that all processes take from.
func createSharedConsumer(ctx context.Context, js jetstream.JetStream, s report.Setting) (jetstream.Consumer, error) {
	return js.CreateConsumer(ctx, stream.Name, jetstream.ConsumerConfig{
		Durable: sharedConsumer, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		// No row may be redelivered while its process still waits for the lock.
		AckWait: s.Limit() + time.Minute,
	})
}

// message makes a message of adjacent rows.
func message(rows []row) mta.Chunk {
	c := mta.Chunk{Source: sourceName, Columns: columns, Line: int64(rows[0]), Records: len(rows)}
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
