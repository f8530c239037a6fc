package stream

// What the queue no longer needs: acknowledged messages are removed, and
// acknowledgements that got lost are sent again.

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tidyEvery is often enough to keep a small queue flowing, and seldom enough
// to cost nothing.
const (
	tidyEvery  = 250 * time.Millisecond
	lookAnyway = time.Second // for what never reached us: see findSwallowed
)

// remember keeps an acknowledgement until the queue has been seen to have it.
func (r *Reader) remember(d *Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked[d.sequence] = d.reply
}

func (r *Reader) unseen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// tidyNowAndThen tidies while there is something to tidy: at first what a
// reader before us left.
func (r *Reader) tidyNowAndThen() {
	said := notice{log: r.conn.log, after: 10 * time.Second}
	reconnects, todo := r.conn.nc.Stats().Reconnects, true
	var last time.Time
	for {
		n := r.conn.nc.Stats().Reconnects
		todo = todo || n != reconnects || r.unseen() > 0 || time.Since(last) > lookAnyway
		if todo && r.conn.nc.IsConnected() {
			last = time.Now()
			left, err := r.tidy(r.ctx, n != reconnects)
			if err != nil {
				said.begin("can't remove stored rows from the queue", "error", err)
			} else {
				said.end("stored rows are removed from the queue again")
				reconnects, todo = n, left > 0
			}
		}
		if !sleep(r.ctx, tidyEvery) {
			return
		}
	}
}

// tidy removes all up to the first message that is not acknowledged. After a
// reconnect it also makes good what went down with the old connection. It
// returns how many acknowledgements the queue does not have yet.
func (r *Reader) tidy(ctx context.Context, reconnected bool) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	r.mu.Lock()
	stream, consumer, epoch, created, purged := r.stream, r.consumer, r.epoch, r.created, r.purged
	r.mu.Unlock()
	info, err := consumer.Info(ctx)
	if err != nil {
		return 0, err
	}
	done := info.AckFloor.Stream
	if done > purged {
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(done+1)); err != nil {
			return 0, err
		}
	}
	replies, same := r.settle(epoch, done, info.Created.Equal(created))
	if same && info.NumAckPending > len(replies) {
		if err := r.findSwallowed(ctx, stream, done); err != nil {
			return len(replies), err
		}
	}
	if !reconnected || !same {
		return len(replies), nil
	}
	return len(replies), r.makeGood(ctx, stream, replies)
}

// settle forgets the acknowledgements that the queue has, and returns the
// others. They are no good for another queue: see [Reader.current].
func (r *Reader) settle(epoch int, done uint64, same bool) (replies []string, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same = same && r.epoch == epoch
	if same {
		r.purged = max(r.purged, done)
		maps.DeleteFunc(r.acked, func(sequence uint64, _ string) bool { return sequence <= done })
	}
	return slices.Collect(maps.Values(r.acked)), same
}

// makeGood sends the acknowledgements again that may have gone down with a
// connection, and has all delivered again that may have gone down with it on
// the way to us. Without that, those rows would come only after [ackWait].
func (r *Reader) makeGood(ctx context.Context, s jetstream.Stream, replies []string) error {
	for _, reply := range replies {
		if err := r.conn.nc.Publish(reply, acknowledged); err != nil {
			return err
		}
	}
	if err := r.conn.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	_, err := s.ResetConsumer(ctx, Durable)
	return err
}
