package main

// The publishing side: nothing of ours, only the form of a message that
// ARCHITECTURE.md gives.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type publisher struct {
	conn           *nats.Conn
	js             jetstream.JetStream
	source, header string
	subject        string
}

// unanswered is how many messages may be on their way.
const unanswered = 4096

func connect(ctx context.Context, c config, header string) (*publisher, error) {
	conn, err := nats.Connect(c.server, nats.Timeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.server, err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(unanswered), jetstream.WithPublishAsyncTimeout(30*time.Second))
	if err == nil {
		err = waitForStream(ctx, js)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("the stream: %w", err)
	}
	source := filepath.Base(c.file)
	token := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
			return r
		}
		return '_'
	}, source)
	return &publisher{conn, js, source, header, "mta.ridership." + token}, nil
}

// waitForStream waits until the broker has made its stream.
func waitForStream(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, err := js.Stream(ctx, "MTA")
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (p *publisher) close() { p.conn.Close() }

// publish sends each row when it is due, and says when the queue had it on
// disk.
func (p *publisher) publish(ctx context.Context, rows [][]byte, due func(int) time.Time) ([]time.Time, error) {
	queued := make([]time.Time, len(rows))
	failed := make(chan error, len(rows))
	var answers sync.WaitGroup
	for i, row := range rows {
		if wait := time.Until(due(i)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		future, err := p.js.PublishMsgAsync(p.message(i, row), jetstream.WithStallWait(30*time.Second))
		if err != nil {
			return nil, fmt.Errorf("publish row %d: %w", i+1, err)
		}
		answers.Go(func() {
			select {
			case <-future.Ok():
				queued[i] = time.Now()
			case err := <-future.Err():
				failed <- fmt.Errorf("publish row %d: %w", i+1, err)
			case <-ctx.Done():
				failed <- ctx.Err()
			}
		})
	}
	answers.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return queued, nil
	}
}

func (p *publisher) message(i int, row []byte) *nats.Msg {
	m := nats.NewMsg(p.subject)
	m.Data = row
	m.Header.Set("Turnstile-Source", p.source)
	m.Header.Set("Turnstile-Line", strconv.Itoa(i+2)) // the header is line 1
	m.Header.Set("Turnstile-Columns", p.header)
	return m
}
