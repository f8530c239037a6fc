package stream

// Messages that the client library takes for its own. It tells the broker's
// words from messages by an empty body and a header "Status", and anyone may
// publish that. It would never reach us, never be acknowledged, and so keep the
// queue from being purged, for ever. So it is looked for.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stuckFor is how long the queue must wait for the same message before it is
// looked at. It is a word of the broker's to us, so not too often.
const stuckFor = time.Second

// swallowed is the one we wait for, if we do. The reader's lock guards it.
type swallowed struct {
	floor uint64    // all before it is acknowledged
	since time.Time // when that was first so
	found *Delivery // to be returned by Next
	wake  context.CancelFunc
}

// waitCtx returns a context to wait with for the next message; it ends when a
// swallowed one is found. Or it returns that.
func (r *Reader) waitCtx(ctx context.Context) (context.Context, *Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.found; d != nil {
		r.found = nil
		return nil, d
	}
	ctx, r.wake = context.WithCancel(ctx)
	return ctx, nil
}

// poke ends the wait of Next.
func (r *Reader) poke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wake != nil {
		r.wake()
	}
}

// findSwallowed looks at the message that the queue has been waiting for, if
// it is the same for a while.
func (r *Reader) findSwallowed(ctx context.Context, s jetstream.Stream, done uint64) error {
	if !r.stuck(done) {
		return nil
	}
	m, err := s.GetMsg(ctx, done+1, jetstream.WithGetMsgSubject(queued+">")) // that one, or the next there is
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(m.Data) > 0 || m.Header.Get("Status") == "" {
		return nil // it is in hand
	}
	r.mu.Lock()
	reply := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.1.%d.0", Name, Durable, m.Sequence, m.Time.UnixNano())
	r.found = r.inHand(m.Header, m.Data, reply, m.Sequence)
	r.mu.Unlock()
	r.poke()
	return nil
}

// stuck says whether the queue has waited for the same message for a while.
func (r *Reader) stuck(done uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done != r.floor || r.since.IsZero() {
		r.floor, r.since = done, time.Now()
		return false
	}
	if time.Since(r.since) < stuckFor {
		return false
	}
	r.since = time.Now()
	return true
}
