package stream

// The durable consumer: who may have it, and how it must be.

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// open finds or makes the durable consumer, and starts to read from it.
func (r *Reader) open(ctx context.Context) error {
	for {
		s, err := r.conn.Stream(ctx)
		if err != nil {
			return err
		}
		err = r.start(ctx, s)
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		r.conn.log.Debug("open the reader", "error", err)
		if err := r.conn.pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// passing says whether an error may be gone when one tries again.
func passing(err error) bool {
	if _, ok := errors.AsType[*DatabaseError](err); ok {
		return false
	}
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return true // another was quicker; the next look shows whose it is
	}
	e, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || e.Code == 404 || e.Code == 503
}

func (r *Reader) start(ctx context.Context, s jetstream.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	consumer, existed, err := r.durable(ctx, s)
	if err != nil {
		return err
	}
	if existed {
		if _, err := s.ResetConsumer(ctx, Durable); err != nil {
			return wrap("take over consumer "+Durable, err)
		}
	}
	it, err := consumer.Messages(jetstream.PullMaxBytes(inFlight),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return wrap("read from consumer "+Durable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream, r.consumer, r.it, r.purged = s, consumer, it, 0
	r.created = consumer.CachedInfo().Created
	if !existed {
		r.epoch++
		clear(r.acked)
	}
	return nil
}

const (
	databaseKey = "turnstile-database"
	pathKey     = "turnstile-path"
)

// durable returns the one consumer, made if it is not there.
func (r *Reader) durable(ctx context.Context, s jetstream.Stream) (_ jetstream.Consumer, existed bool, _ error) {
	want := jetstream.ConsumerConfig{
		Durable:       Durable,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // any limit would lose rows, and the counters would say that all is done
		MaxAckPending: max(mostPending, 2*r.options.Batch),
		Metadata:      map[string]string{databaseKey: r.options.DatabaseID, pathKey: r.options.Path},
	}
	there, err := s.Consumer(ctx, Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		made, err := s.CreateConsumer(ctx, want)
		return made, false, wrap("make consumer "+Durable, err)
	}
	if err != nil {
		return nil, false, wrap("look for consumer "+Durable, err)
	}
	has := there.CachedInfo().Config
	id, path := has.Metadata[databaseKey], has.Metadata[pathKey]
	if (id != r.options.DatabaseID || path != r.options.Path) && !r.options.Adopt {
		return nil, false, &DatabaseError{id, path, id == r.options.DatabaseID}
	}
	if has.Metadata[databaseKey] == want.Metadata[databaseKey] && has.Metadata[pathKey] == want.Metadata[pathKey] &&
		has.MaxAckPending == want.MaxAckPending && has.AckWait == want.AckWait && has.MaxDeliver == want.MaxDeliver {
		return there, true, nil
	}
	changed, err := s.UpdateConsumer(ctx, want)
	return changed, true, wrap("change consumer "+Durable, err)
}
