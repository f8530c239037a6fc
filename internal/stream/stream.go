// Package stream carries chunks of rows over NATS JetStream: subjects, limits, the
// message format, publishing, reading and confirmations.
//
// [Connect] opens a connection. A producer uses a [Publisher]. A consumer uses a
// [Reader], and [Requests] for rows that are not queued. All of them survive an
// outage of the broker: they wait, log that once, and continue.
//
// # Delivery
//
// The broker acknowledges a published message once it is on disk. It redelivers a
// message until the reader acknowledges it, so delivery is at least once. The
// database deduplicates rows by source and line. Messages have no Nats-Msg-Id: it
// identifies messages, not rows. The broker would drop a file that is resent with
// other message boundaries.
package stream

// The stream: its settings, and what is in it. It is a queue on disk that rejects
// messages when it is full, and never drops a message.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// settings returns the settings of the stream. The stream keeps messages until the
// reader purges those it has stored. Work-queue retention would remove them itself,
// but costs another fsync a message. It also redelivered acknowledged messages.
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

// Ensure creates the stream, or updates the size limit and replicas of an existing
// one. It returns a [*SettingError] if another setting is wrong, and a [*SizeError]
// if the stream holds more than maxBytes.
func Ensure(ctx context.Context, nc *nats.Conn, maxBytes int64, replicas int) error {
	_, err := ensure(ctx, nc, maxBytes, math.MaxInt64, replicas)
	return err
}

// Fit is Ensure for the stream of one server, whose disk has room for so many more
// bytes; room may be negative. It limits the stream to what it holds and that room,
// if this is less than maxBytes, and returns the limit. [LimitedByDisk] tells others.
func Fit(ctx context.Context, nc *nats.Conn, maxBytes, room int64) (limit int64, err error) {
	return ensure(ctx, nc, maxBytes, room, 1)
}

func ensure(ctx context.Context, nc *nats.Conn, maxBytes, room int64, replicas int) (limit int64, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("stream: %w", err)
	}
	s, err := js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		limit = sizeLimit(maxBytes, 0, room)
		c := settings(limit, replicas)
		c.Metadata = limitMetadata(nil, limit < maxBytes)
		_, err = js.CreateStream(ctx, c)
		return limit, wrap("create stream "+Name, err)
	}
	if err != nil {
		return 0, wrap("look up stream "+Name, err)
	}
	info := s.CachedInfo()
	if err := checkSettings(info.Config); err != nil {
		return 0, err
	}
	if info.State.Bytes > uint64(max(maxBytes, 0)) {
		return 0, &SizeError{info.State.Bytes, maxBytes}
	}
	limit = sizeLimit(maxBytes, int64(info.State.Bytes), room)
	c, byDisk := info.Config, limit < maxBytes
	if c.Replicas == replicas && LimitedByDisk(c.Metadata) == byDisk &&
		(limit == c.MaxBytes || byDisk && max(limit-c.MaxBytes, c.MaxBytes-limit) < minLimitChange) {
		return c.MaxBytes, nil
	}
	c.MaxBytes, c.Replicas, c.Metadata = limit, replicas, limitMetadata(c.Metadata, byDisk)
	_, err = js.UpdateStream(ctx, c)
	return limit, wrap("update stream "+Name, err)
}

// limitKey is in the metadata of a stream that the disk limits.
const limitKey = "turnstile.limited-by"

// LimitedByDisk reports whether a stream with this metadata has a lower limit than
// was asked for, because the disk has no more room.
func LimitedByDisk(metadata map[string]string) bool { return metadata[limitKey] == "disk" }

func limitMetadata(m map[string]string, byDisk bool) map[string]string {
	m = maps.Clone(m)
	delete(m, limitKey)
	if byDisk {
		if m == nil {
			m = map[string]string{}
		}
		m[limitKey] = "disk"
	}
	return m
}

// minLimitChange bytes make a new limit worth a write. The room of a disk changes
// all the time.
const minLimitChange = 1 << 20

// sizeLimit returns the limit of a stream that holds bytes. It is at least 1,
// because 0 means none. A limit below what the stream holds removes nothing: it
// discards new messages.
func sizeLimit(maxBytes, holds, room int64) int64 {
	if room >= maxBytes-holds {
		return maxBytes
	}
	return max(1, holds+room)
}

// A SizeError reports that the queue holds more bytes than the new size limit.
type SizeError struct {
	Holds uint64
	Want  int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the queue holds %d bytes, more than the new limit of %d", e.Holds, e.Want)
}

// checkSettings returns a [*SettingError] for the first setting that would lose or
// reject rows.
func checkSettings(c jetstream.StreamConfig) error {
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

// wrap adds the package and the operation to an error, if there is one.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stream: %s: %w", operation, err)
}

// Ensure is the function [Ensure], and waits for a cluster that is starting, until
// ctx ends.
func (c *Conn) Ensure(ctx context.Context, maxBytes int64, replicas int) error {
	for {
		// A cluster that has no leader yet does not answer.
		attempt, cancel := context.WithTimeout(ctx, apiTimeout)
		err := Ensure(attempt, c.nc, maxBytes, replicas)
		cancel()
		if err == nil || ctx.Err() != nil || !isStarting(err) {
			return err
		}
		c.log.Debug("create the stream", "error", err)
		if pauseErr := c.pause(ctx, pollInterval); pauseErr != nil {
			return err // more specific than the timeout
		}
	}
}

// isStarting reports whether a cluster without a leader may cause err.
func isStarting(err error) bool {
	_, settings := errors.AsType[*SettingError](err)
	_, size := errors.AsType[*SizeError](err)
	_, rights := errors.AsType[*RightsError](err)
	return !settings && !size && !rights && isTransient(err)
}

// A QueueState says what is in the stream. Messages that are stored are in it until
// they are purged, a few times a second.
type QueueState struct {
	Messages uint64
	Bytes    uint64
	MaxBytes int64
	Oldest   time.Duration // age of the oldest message, by the broker's clock; 0 if there is none

	FirstSequence, LastSequence uint64
}

// Queue asks the broker what is in the stream. A stream that does not exist yet is
// empty.
func (c *Conn) Queue(ctx context.Context) (QueueState, error) {
	s, err := c.lookUpStream(ctx, apiTimeout)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return QueueState{}, nil
	}
	if err != nil {
		return QueueState{}, wrap("look up stream "+Name, err)
	}
	return queueState(s.CachedInfo()), nil
}

func queueState(info *jetstream.StreamInfo) QueueState {
	q := QueueState{
		Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
		FirstSequence: info.State.FirstSeq, LastSequence: info.State.LastSeq,
	}
	if q.Messages > 0 && !info.TimeStamp.IsZero() {
		q.Oldest = max(0, info.TimeStamp.Sub(info.State.FirstTime))
	}
	return q
}

// Queued returns how many messages of a source are in the stream. Messages that are
// stored are in it until they are purged, a few times a second.
func (c *Conn) Queued(ctx context.Context, source string) (messages uint64, err error) {
	s, err := c.lookUpStream(ctx, apiTimeout)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap("look up stream "+Name, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(Subject(source)))
	if err != nil {
		return 0, wrap("messages of "+source, err)
	}
	return info.State.Subjects[Subject(source)], nil
}
