package stream

// A received message, of the stream or of a requester, and its answer.

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

// A Delivery is a received message that is not answered yet.
type Delivery struct {
	conn      *Conn
	body      []byte
	chunk     mta.Chunk
	foreign   error  // why it is not a turnstile message
	confirmTo string // "": nobody asked for a confirmation

	// For a message of the stream only.
	reader   *Reader
	ackTo    string
	epoch    int // of the reader at the delivery
	sequence uint64
}

func (r *Reader) delivery(m *nats.Msg) (*Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	d := &Delivery{
		conn: r.conn, body: m.Data,
		reader: r, ackTo: m.Reply, epoch: r.epoch, sequence: meta.Sequence.Stream,
	}
	d.chunk, d.foreign = decode(m.Header, d.body)
	if to := m.Header.Get(confirmHeader); to != "" {
		if isConfirmSubject(to) {
			d.confirmTo = to
		} else {
			r.conn.log.Warn("confirmation asked for on a forbidden subject", "sequence", d.sequence, "subject", to)
		}
	}
	return d, nil
}

// request returns the delivery of a request, or nil if its sender can't be
// answered. The sender still has the rows.
func request(c *Conn, m *nats.Msg) *Delivery {
	if !isConfirmSubject(m.Reply) {
		c.log.Warn("request refused: its reply subject is not below "+confirmSubjects, "subject", m.Subject, "reply", m.Reply)
		return nil
	}
	d := &Delivery{conn: c, body: m.Data, confirmTo: m.Reply}
	d.chunk, d.foreign = decode(m.Header, d.body)
	return d
}

// Chunk returns the message's rows, or an error if it is a foreign message.
func (d *Delivery) Chunk() (mta.Chunk, error) { return d.chunk, d.foreign }

// Sequence is the message's sequence in the stream; 0 for a request.
func (d *Delivery) Sequence() uint64 { return d.sequence }

// Body returns the bytes as received.
func (d *Delivery) Body() []byte { return d.body }

// Confirm sends the answer to whoever asked for a confirmation. The answer must
// not be empty.
func (d *Delivery) Confirm(answer []byte) error {
	if d.confirmTo == "" {
		return nil
	}
	if err := d.conn.nc.Publish(d.confirmTo, answer); err != nil {
		return fmt.Errorf("stream: confirm: %w", err)
	}
	return nil
}

// Ack acknowledges the message. It waits neither for the broker's answer nor
// for a broker that is away: lost acknowledgements are resent.
func (d *Delivery) Ack() error {
	if d.reader == nil || !d.reader.current(d.epoch) {
		return nil
	}
	d.reader.recordAck(d)
	err := d.conn.nc.Publish(d.ackTo, ack)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		d.conn.log.Debug("the acknowledgement is resent when the broker is back", "sequence", d.sequence, "error", err)
		return nil
	}
	return wrap("acknowledge", err)
}

// Nak returns the message to the stream, which redelivers it at once.
func (d *Delivery) Nak() error {
	if d.reader == nil || !d.reader.current(d.epoch) {
		return nil
	}
	return wrap("nak", d.conn.nc.Publish(d.ackTo, nak))
}

var (
	ack = []byte("+ACK")
	nak = []byte("-NAK")
)

// current reports whether a delivery of an epoch can still be acknowledged. A
// stream that was wiped counts from 1 again. There the acknowledgement would
// count for another message, which may not be stored yet.
func (r *Reader) current(epoch int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch == epoch
}
