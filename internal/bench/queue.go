package main

// The queue between two processes, as it is run: a broker with a store of its
// own, listening where nobody else does.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// A queue is a broker under way.
type queue struct {
	*process
	address string
}

func (b *bench) broker(ctx context.Context, dir string, env ...string) (*queue, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	monitor, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, command{name: "broker", path: b.path("broker"), env: env, args: []string{
		"--listen", address, "--monitor", monitor, "--store", filepath.Join(dir, "broker"),
	}})
	if err != nil {
		return nil, err
	}
	q := &queue{p, address}
	if err := b.ready(ctx, monitor); err != nil {
		_, stopErr := q.stop()
		return nil, errors.Join(fmt.Errorf("the broker is not ready: %w", err), stopErr)
	}
	return q, nil
}

// freeAddress is a port that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the broker says it is healthy.
func (b *bench) ready(ctx context.Context, monitor string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, _, _, err := run(ctx, command{name: "broker healthcheck", path: b.path("broker"), args: []string{"healthcheck", "--monitor", monitor}})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bench) consumer(ctx context.Context, q *queue, db string, args ...string) (*process, error) {
	return start(ctx, command{
		name: "consumer", path: b.path("consumer"),
		args: append([]string{"--server", q.address, "--db", db}, args...),
	})
}

func (b *bench) producer(q *queue, in input, args ...string) command {
	return command{
		name: "producer", path: b.path("producer"),
		args: append([]string{"--server", q.address, "--rate", "max", in.path}, args...),
	}
}

// pipeline sends a file through the queue into a database. The broker is up
// before, as a server is; the clock runs from the start of the consumer and
// the producer until the consumer has closed the database.
func (b *bench) pipeline(env ...string) func(context.Context, input, string) (sample, error) {
	return func(ctx context.Context, in input, dir string) (s sample, err error) {
		q, err := b.broker(ctx, dir, env...)
		if err != nil {
			return s, err
		}
		s, err = b.through(ctx, q, in, filepath.Join(dir, "rides.db"))
		u, stopErr := q.stop()
		s.processes = append(s.processes, u)
		return s, errors.Join(err, stopErr)
	}
}

func (b *bench) through(ctx context.Context, q *queue, in input, db string) (s sample, err error) {
	began := time.Now()
	consumer, err := b.consumer(ctx, q, db)
	if err != nil {
		return s, err
	}
	_, producer, _, err := run(ctx, b.producer(q, in, "--confirm", "stored"))
	stored := time.Since(began).Seconds()
	u, stopErr := consumer.stop()
	s = sample{seconds: time.Since(began).Seconds(), stored: &stored, processes: []usage{producer, u}}
	if err = errors.Join(err, stopErr); err != nil {
		return s, err
	}
	s.database, err = counted(ctx, db, "ride", in.rows)
	return s, err
}
