package stream

// Purging: acknowledged messages are removed from the stream.

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// purgeInterval is short enough that a small queue does not fill up. Each purge costs
// a few requests to the broker.
const purgeInterval = 250 * time.Millisecond

// purgeLoop purges the stream until the reader closes. The first purge removes what
// an earlier reader left.
func (r *Reader) purgeLoop() {
	trouble := notice{log: r.conn.log, after: 10 * time.Second}
	for first := true; ; first = false {
		if (first || r.unpurged()) && r.conn.nc.IsConnected() && r.owns() {
			if err := r.purge(r.ctx); err != nil {
				trouble.begin("purge of stored rows failed", "error", err)
			} else {
				trouble.end("purge of stored rows works again")
			}
		}
		if !sleep(r.ctx, purgeInterval) {
			return
		}
	}
}

// unpurged reports whether the stream may still hold stored messages.
func (r *Reader) unpurged() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stored.Stream == r.streamID && r.stored.Sequence > r.purged
}

// purge removes the messages before the first unacknowledged one.
func (r *Reader) purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	r.mu.Lock()
	stream, consumer, purged := r.stream, r.consumer, r.purged
	r.mu.Unlock()
	info, err := consumer.Info(ctx)
	if err != nil {
		return err // after a takeover, the consumer is deleted: only its new owner purges
	}
	floor := info.AckFloor.Stream
	if floor <= purged {
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.consumer == consumer {
		r.purged = max(r.purged, floor)
	}
	return nil
}
