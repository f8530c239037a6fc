package stream

// Purging: acknowledged messages are removed from the stream. After a
// reconnect, acknowledgements that may be lost are resent.

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// purgeInterval keeps a small queue from filling up. Each purge costs a few
// requests to the broker.
const purgeInterval = 250 * time.Millisecond

// recordAck keeps an acknowledgement until the server is known to have it.
func (r *Reader) recordAck(d *Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked[d.sequence] = d.ackTo
}

func (r *Reader) unpurged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// purgeLoop purges while there is something to purge. The first purge removes
// what an earlier reader left.
func (r *Reader) purgeLoop() {
	trouble := notice{log: r.conn.log, after: 10 * time.Second}
	reconnects, due := r.conn.nc.Stats().Reconnects, true
	for {
		n := r.conn.nc.Stats().Reconnects
		due = due || n != reconnects || r.unpurged() > 0
		if due && r.conn.nc.IsConnected() {
			left, err := r.purge(r.ctx, n != reconnects)
			if err != nil {
				trouble.begin("can't purge stored rows from the queue", "error", err)
			} else {
				trouble.end("stored rows are purged again")
				reconnects, due = n, left > 0
			}
		}
		if !sleep(r.ctx, purgeInterval) {
			return
		}
	}
}

// purge removes the messages before the first that is not acknowledged. After a
// reconnect it also has lost messages redelivered. It returns the number of
// acknowledgements that the server does not have yet.
func (r *Reader) purge(ctx context.Context, reconnected bool) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	r.mu.Lock()
	stream, consumer, epoch, created, purged := r.stream, r.consumer, r.epoch, r.created, r.purged
	r.mu.Unlock()
	info, err := consumer.Info(ctx)
	if err != nil {
		return 0, err
	}
	floor := info.AckFloor.Stream
	if floor > purged {
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
			return 0, err
		}
	}
	acks, same := r.forgetAcks(epoch, floor, info.Created.Equal(created))
	if !reconnected || !same {
		return len(acks), nil
	}
	return len(acks), r.resendAcks(ctx, stream, acks)
}

// forgetAcks forgets the acknowledgements that the server has, and returns the
// others. Those are not valid for another consumer: see [Reader.current].
func (r *Reader) forgetAcks(epoch int, floor uint64, same bool) (acks []string, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same = same && r.epoch == epoch
	if same {
		r.purged = max(r.purged, floor)
		maps.DeleteFunc(r.acked, func(sequence uint64, _ string) bool { return sequence <= floor })
	}
	return slices.Collect(maps.Values(r.acked)), same
}

// resendAcks resends acknowledgements, and has the unacknowledged messages
// redelivered. Some of either may be lost with the connection. Without that,
// they would be redelivered only after ackWait.
func (r *Reader) resendAcks(ctx context.Context, s jetstream.Stream, acks []string) error {
	for _, to := range acks {
		if err := r.conn.nc.Publish(to, ack); err != nil {
			return err
		}
	}
	if err := r.conn.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	_, err := s.ResetConsumer(ctx, Durable)
	return err
}
