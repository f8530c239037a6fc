// Package stream carries chunks of rows over NATS JetStream: names and limits,
// the form of a message, publishing, reading, confirming.
//
// It starts with [Connect]. A producer then takes a [Publisher], a consumer a
// [Reader] and, for what no queue keeps, [Requests]. All of them outlive the
// broker: while it is away they wait, say so once, and go on.
//
// # Delivery
//
// What is published is acknowledged when the broker has it on disk. It is
// delivered until the reader acknowledges it, and may be delivered more than
// once: whoever stores it must know a row again (source and line say which it
// is). There is no Nats-Msg-Id: the broker's duplicate window knows messages,
// not rows, and would swallow a file that is sent again in other pieces.
package stream

// What the stream must be: a queue on disk that refuses when it is full, and
// never drops a row that nobody has read.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// settings of the stream. It keeps its messages until the reader purges what
// it has stored. Work-queue retention would do that by itself, at the price of
// another fsync a message; and it was seen to deliver acknowledged ones again.
func settings(maxBytes int64, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Name,
		Description: "CSV rows on their way to a database (turnstile)",
		Subjects:    []string{rowSubjects + ">"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    maxBytes,
		MaxMsgSize:  1 << 20,
		Replicas:    replicas,
	}
}

// Ensure makes the stream, or sets its size and replicas if it is there. It
// returns a [*SettingError] for a stream that is someone else's.
func Ensure(ctx context.Context, nc *nats.Conn, maxBytes int64, replicas int) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	s, err := js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, settings(maxBytes, replicas))
		return wrap("make stream "+Name, err)
	}
	if err != nil {
		return wrap("look for stream "+Name, err)
	}
	info := s.CachedInfo()
	if err := check(info.Config); err != nil {
		return err
	}
	if info.State.Bytes > uint64(max(maxBytes, 0)) {
		// The server would make room by removing the oldest messages.
		return &SizeError{info.State.Bytes, maxBytes}
	}
	if info.Config.MaxBytes == maxBytes && info.Config.Replicas == replicas {
		return nil
	}
	c := info.Config
	c.MaxBytes, c.Replicas = maxBytes, replicas
	_, err = js.UpdateStream(ctx, c)
	return wrap("change stream "+Name, err)
}

// A SizeError says that the queue holds more than it is to hold from now on.
type SizeError struct {
	Holds uint64
	Want  int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("stream: the queue holds %d bytes, more than the %d it is to hold at most", e.Holds, e.Want)
}

// check names the first setting that would lose rows, or never let them in.
func check(c jetstream.StreamConfig) error {
	for _, s := range []struct {
		name      string
		ok        bool
		got, want any
	}{
		{"subjects", slices.Contains(c.Subjects, rowSubjects+">"), c.Subjects, "[" + rowSubjects + ">]"},
		{"storage", c.Storage == jetstream.FileStorage, c.Storage, jetstream.FileStorage},
		{"retention", c.Retention == jetstream.LimitsPolicy, c.Retention, jetstream.LimitsPolicy},
		{"discard policy", c.Discard == jetstream.DiscardNew, c.Discard, jetstream.DiscardNew},
		{"byte limit", c.MaxBytes > 0, c.MaxBytes, "a limit"},
		{"message size limit", c.MaxMsgSize <= 0 || c.MaxMsgSize >= MaxMessage, c.MaxMsgSize, fmt.Sprint(MaxMessage, " or more")},
		{"message limit", c.MaxMsgs <= 0 || c.MaxMsgs == math.MaxInt64, c.MaxMsgs, "none"},
		{"message limit per subject", c.MaxMsgsPerSubject <= 0, c.MaxMsgsPerSubject, "none"},
		{"age limit", c.MaxAge == 0, c.MaxAge, "none"},
		{"no-ack setting", !c.NoAck, c.NoAck, false},
		{"sealed setting", !c.Sealed, c.Sealed, false},
		{"deny-purge setting", !c.DenyPurge, c.DenyPurge, false},
		{"persist mode", c.PersistMode == jetstream.DefaultPersistMode, c.PersistMode, jetstream.DefaultPersistMode},
	} {
		if !s.ok {
			return &SettingError{s.name, s.got, s.want}
		}
	}
	return nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stream: %s: %w", doing, err)
}

// Ensure makes the stream, or sets its size and replicas: see the function
// Ensure. A cluster that is coming up is waited for, until ctx ends.
func (c *Conn) Ensure(ctx context.Context, maxBytes int64, replicas int) error {
	for {
		err := Ensure(ctx, c.nc, maxBytes, replicas)
		if err == nil || ctx.Err() != nil || !isStarting(err) {
			return err
		}
		c.log.Debug("make the stream", "error", err)
		if pauseErr := c.pause(ctx, pollInterval); pauseErr != nil {
			return err // it says more than that the time is over
		}
	}
}

// isStarting says whether an error may be that of a cluster without a leader.
func isStarting(err error) bool {
	_, settings := errors.AsType[*SettingError](err)
	_, size := errors.AsType[*SizeError](err)
	_, rights := errors.AsType[*RightsError](err)
	return !settings && !size && !rights && isTransient(err)
}
