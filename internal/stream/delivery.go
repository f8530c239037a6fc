package stream

// A received message, of the stream or of a requester, and its answer.

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

// A Delivery is a received message that is not answered yet.
type Delivery struct {
	conn      *Conn
	header    nats.Header
	body      []byte
	confirmTo string // "": nobody asked for a confirmation

	decoded bool // chunk and foreign are set
	chunk   mta.Chunk
	foreign error // why it is not a turnstile message

	// For a message of the stream only.
	reader     *Reader
	ackTo      string
	connection uint64 // that brought it
	mark       mta.Mark
	queued     time.Time
	redelivery bool
}

func (r *Reader) delivery(m *nats.Msg) (*Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	r.mu.Lock()
	d := &Delivery{
		conn: r.conn, header: m.Header, body: m.Data, reader: r, ackTo: m.Reply,
		connection: r.connection, mark: mta.Mark{Stream: r.streamID, Sequence: meta.Sequence.Stream},
		queued: meta.Timestamp, redelivery: meta.NumDelivered > 1,
	}
	r.mu.Unlock()
	if to := m.Header.Get(confirmHeader); to != "" {
		if isConfirmSubject(to) {
			d.confirmTo = to
		} else {
			r.conn.log.Warn("confirmation asked for on a forbidden subject", "sequence", d.mark.Sequence, "subject", to)
		}
	}
	return d, nil
}

// request returns the delivery of a request, or nil if its sender can't be
// answered. The sender still has the rows.
func request(c *Conn, m *nats.Msg) *Delivery {
	if !isReplySubject(m.Reply) {
		c.log.Warn("request refused: its reply subject is not below "+confirmSubjects+" or "+inboxSubjects, "subject", m.Subject, "reply", m.Reply)
		return nil
	}
	return &Delivery{conn: c, header: m.Header, body: m.Data, confirmTo: m.Reply}
}

// Chunk returns the message's rows, or an error if it is a foreign message. The
// first call decompresses the rows: a message that is fetched and not in a batch
// yet takes no more memory than on the wire.
func (d *Delivery) Chunk() (mta.Chunk, error) {
	if !d.decoded {
		d.decoded = true
		var body []byte
		if body, d.foreign = decompress(d.header, d.body); d.foreign == nil {
			d.chunk, d.foreign = decode(d.header, body)
		}
	}
	return d.chunk, d.foreign
}

// Mark is the message's position in the stream; zero for a request.
func (d *Delivery) Mark() mta.Mark { return d.mark }

// Queued returns when the broker received the message, by its clock; zero for a
// request.
func (d *Delivery) Queued() time.Time { return d.queued }

// Redelivered reports whether the message was delivered before, and not acknowledged.
func (d *Delivery) Redelivered() bool { return d.redelivery }

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

// Ack acknowledges the message. Its rows must be stored. Ack does not wait for
// the broker. If the acknowledgement is lost with the connection, the message is
// redelivered.
func (d *Delivery) Ack() error {
	if d.reader == nil {
		return nil
	}
	d.reader.setMark(d.mark)
	if !d.current() {
		return nil
	}
	err := d.conn.nc.Publish(d.ackTo, ack)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		d.conn.log.Debug("not acknowledged; the message is redelivered", "sequence", d.mark.Sequence, "error", err)
		return nil
	}
	return wrap("acknowledge", err)
}

// Nak returns the message to the stream, which redelivers it at once.
func (d *Delivery) Nak() error {
	if d.reader == nil || !d.current() {
		return nil
	}
	return wrap("nak", d.conn.nc.Publish(d.ackTo, nak))
}

// isAnswerViolation reports whether the broker refuses an answer to an inbox. A broker
// with users of its own may do so. The sender chose the subject, so it must not be able
// to end the consumer.
func isAnswerViolation(err error) bool {
	return strings.Contains(err.Error(), `Publish to "`+inboxSubjects)
}

// current reports whether the message can still be acknowledged. After a
// reconnect it is redelivered by another consumer. A stream that was wiped
// counts from 1 again: there the acknowledgement would count for another
// message, which may not be stored yet.
func (d *Delivery) current() bool {
	return d.connection == d.conn.nc.Stats().Reconnects
}

var (
	ack = []byte("+ACK")
	nak = []byte("-NAK")
)
