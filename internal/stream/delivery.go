package stream

// A message in hand, from the queue or from someone who waits for the answer.

import (
	"errors"
	"fmt"

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
		if confirmable(to) {
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
	if !confirmable(m.Reply) {
		c.log.Warn("a request without a reply subject below "+confirm+" is not served", "subject", m.Subject, "reply", m.Reply)
		return nil
	}
	d := &Delivery{conn: c, body: m.Data, answerTo: m.Reply}
	d.chunk, d.foreign = decode(m.Header, d.body)
	return d
}
