package stream

// A message in hand, from the queue or from someone who waits for the answer.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

// A Delivery is a message in hand, with the ways to answer for it.
type Delivery struct {
	conn     *Conn
	body     []byte
	chunk    mta.Chunk
	foreign  error
	answerTo string // "": nobody asked

	// For a message of the queue only.
	reader   *Reader
	reply    string // where the queue hears of it
	epoch    int    // of the reader, when it was delivered
	sequence uint64
}

func (r *Reader) delivery(m jetstream.Msg) (*Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return r.inHand(m.Headers(), m.Data(), m.Reply(), meta.Sequence.Stream), nil
}

func (r *Reader) inHand(h nats.Header, body []byte, reply string, sequence uint64) *Delivery {
	d := &Delivery{conn: r.conn, body: body, reader: r, reply: reply, epoch: r.epoch, sequence: sequence}
	d.chunk, d.foreign = decode(h, d.body)
	if to := h.Get(confirmHeader); to != "" {
		if isConfirmSubject(to) {
			d.answerTo = to
		} else {
			r.conn.log.Warn("asked for a confirmation on a subject that is not for that", "sequence", d.sequence, "subject", to)
		}
	}
	return d
}

// Chunk is what the message carries, or the reason why it is none of ours.
func (d *Delivery) Chunk() (mta.Chunk, error) { return d.chunk, d.foreign }

// Sequence is the message's place in the stream; 0 for a request.
func (d *Delivery) Sequence() uint64 { return d.sequence }

// Body is the message as it came.
func (d *Delivery) Body() []byte { return d.body }

// Confirm answers whoever asked to hear of the commit. The answer must not be
// empty.
func (d *Delivery) Confirm(answer []byte) error {
	if d.answerTo == "" {
		return nil
	}
	if err := d.conn.nc.Publish(d.answerTo, answer); err != nil {
		return fmt.Errorf("stream: confirm: %w", err)
	}
	return nil
}

// Ack has the queue forget the message. It does not wait for the broker, nor
// for one that is away: lost acknowledgements are sent again.
func (d *Delivery) Ack() error {
	if d.reader == nil || !d.reader.current(d.epoch) {
		return nil
	}
	d.reader.remember(d)
	err := d.conn.nc.Publish(d.reply, acknowledged)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		d.conn.log.Debug("acknowledged when the broker is back", "sequence", d.sequence, "error", err)
		return nil
	}
	return wrap("acknowledge", err)
}

// What the queue hears of a message.
var (
	acknowledged = []byte("+ACK")
	handedBack   = []byte("-NAK")
)

// current says whether a delivery of an epoch can still be acknowledged. A
// queue that was wiped counts from 1 again: there the acknowledgement would
// remove another message, which may not be stored yet.
func (r *Reader) current(epoch int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch == epoch
}

// Nak hands the message back, for the next reader to take at once.
func (d *Delivery) Nak() error {
	if d.reader == nil || !d.reader.current(d.epoch) {
		return nil
	}
	return wrap("hand back", d.conn.nc.Publish(d.reply, handedBack))
}

// request makes a delivery of a request, or nil if its sender can't be
// answered: it has the rows, and would never hear what became of them.
func request(c *Conn, m *nats.Msg) *Delivery {
	if !isConfirmSubject(m.Reply) {
		c.log.Warn("a request without a reply subject below "+confirmSubjects+" is not served", "subject", m.Subject, "reply", m.Reply)
		return nil
	}
	d := &Delivery{conn: c, body: m.Data, answerTo: m.Reply}
	d.chunk, d.foreign = decode(m.Header, d.body)
	return d
}

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
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
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
	m, err := s.GetMsg(ctx, done+1, jetstream.WithGetMsgSubject(rowSubjects+">")) // that one, or the next there is
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
