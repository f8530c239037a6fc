package stream

// The publisher: a small window of messages in flight, each resent in its slot
// until the broker has it on disk or a consumer has committed its rows.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"turnstile/internal/mta"
)

// PublisherOptions say when a message is done.
type PublisherOptions struct {
	// Stored: a message is done when a consumer has committed its rows, not
	// already when the broker has it on disk.
	Stored bool
	// Compress messages that are larger than 4 KiB.
	Compress bool
	// Done is called for every message that is done. It must not block. The
	// chunk's Data is valid during the call only, and nil if the message was
	// compressed.
	Done func(Receipt)
	// WhenFull is what to do about a full queue, logged with it, or "".
	WhenFull string

	confirmWithin time.Duration // for tests; 0: [confirmWithin]
	patience      time.Duration // for tests; 0: [minPatience]
}

// A Receipt says what became of a message.
type Receipt struct {
	Chunk   mta.Chunk
	Outcome mta.Outcome // with Stored only
	Took    time.Duration
}

// Totals count the messages that are done.
type Totals struct {
	Messages, Records, Blank int64
	Outcome                  mta.Outcome
}

// A Publisher publishes chunks. Its methods are safe for concurrent use.
type Publisher struct {
	conn     *Conn
	options  PublisherOptions
	start    time.Time     // the zero of all times below
	ackInbox string        // subject prefix of the broker's acknowledgements
	confirms string        // subject prefix of the consumer's confirmations
	wake     chan struct{} // the resender has something to do
	stop     context.CancelFunc
	running  sync.WaitGroup
	subs     []*nats.Subscription

	mu       sync.Mutex       // guards all below
	slots    map[uint64]*slot // the messages that are not done, by id
	lastID   uint64
	queue    []*slot // the slots in state slotQueued
	inFlight int     // the number of slots in state slotSent
	bytes    int64   // cost of all slots
	window   window
	losses   losses
	refusals refusals
	changed  chan struct{} // closed when a waiting call may go on; nil if none waits
	progress time.Duration // when a message was last done, or the first one sent
	totals   Totals
	acked    Acked  // its Line is computed when it is asked for
	silence  notice // no confirmation arrives
}

// A slot is a message that is not done.
type slot struct {
	id         uint64
	msg        nats.Msg
	chunk      mta.Chunk
	cost       int64
	state      slotState
	begun      time.Duration
	sent       time.Duration // of the last attempt
	connection uint64        // of the last attempt, see [Publisher.connection]
	acked      time.Duration
	sequence   uint64 // in the stream, once acknowledged
	resends    int    // because no confirmation arrived
}

type slotState int

const (
	slotSent   slotState = iota // in flight: not acknowledged, not refused
	slotQueued                  // refused or presumed lost, to be resent
	slotAcked                   // on the broker's disk, waiting for its confirmation
	slotDone
)

// minCost bounds the number of slots that wait for a confirmation: the bytes of
// tiny messages alone would allow too many.
const minCost = 2 << 10

// Publisher waits for the stream, checks it, and returns a publisher for it.
func (c *Conn) Publisher(ctx context.Context, o PublisherOptions) (*Publisher, error) {
	if _, err := c.Stream(ctx); err != nil {
		return nil, err
	}
	rtt, err := c.nc.RTT()
	if err != nil {
		c.log.Debug("measure the round trip", "error", err)
	}
	o.confirmWithin, o.patience = cmp.Or(o.confirmWithin, confirmWithin), cmp.Or(o.patience, minPatience)
	p := &Publisher{
		conn: c, options: o, start: time.Now(), wake: make(chan struct{}, 1), slots: map[uint64]*slot{},
		ackInbox: c.nc.NewInbox() + ".", confirms: confirmSubjects + nuid.Next() + ".",
		window: window{size: startWindow, slow: slowAck + rtt},
		losses: losses{min: o.patience, patience: o.patience, trouble: notice{log: c.log}},
		refusals: refusals{
			full: notice{log: c.log}, whenFull: o.WhenFull, other: notice{log: c.log, after: time.Second},
		},
		silence: notice{log: c.log},
	}
	background, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	err = p.subscribe(p.ackInbox, p.onAck)
	if o.Stored {
		err = errors.Join(err, p.subscribe(p.confirms, p.onConfirmation))
		p.running.Go(func() { p.watchConfirmations(background) })
	}
	p.running.Go(func() { p.resend(background) })
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Publisher) subscribe(prefix string, handle nats.MsgHandler) error {
	sub, err := p.conn.nc.Subscribe(prefix+"*", handle)
	if err != nil {
		return fmt.Errorf("stream: subscribe to the answers of the broker: %w", err)
	}
	p.subs = append(p.subs, sub)
	return nil
}

// Close ends the publisher. It does not wait for messages that are not done.
func (p *Publisher) Close() error {
	p.stop()
	p.running.Wait()
	var errs []error
	for _, sub := range p.subs {
		if !p.conn.nc.IsClosed() {
			errs = append(errs, sub.Unsubscribe())
		}
	}
	return errors.Join(errs...)
}

// Publish sends a chunk. It returns when the window has room for the message,
// not when the message is done. It copies the chunk's Data.
func (p *Publisher) Publish(ctx context.Context, c mta.Chunk) error {
	m, err := encode(Subject(c.Source), c)
	if err != nil {
		return err
	}
	last := c.Line + int64(bytes.Count(bytes.TrimSuffix(c.Data, newline), newline))
	if p.options.Compress && compress(m) {
		c.Data = nil
	} else {
		m.Data = bytes.Clone(c.Data)
		c.Data = m.Data
	}
	s := &slot{msg: *m, chunk: c, cost: max(minCost, int64(len(m.Data)))}
	if err := p.lockWhen(ctx, func() bool { return p.hasRoom(s.cost) }); err != nil {
		return err
	}
	p.lastID++
	s.id, s.begun = p.lastID, p.now()
	if p.options.Stored {
		s.msg.Header.Set(confirmHeader, p.confirms+strconv.FormatUint(s.id, 10))
	}
	if len(p.slots) == 0 {
		p.progress = s.begun
	}
	p.slots[s.id] = s
	p.bytes += s.cost
	p.acked.Source, p.acked.Read = c.Source, last
	p.inFlight++
	s.sent, s.connection = s.begun, p.connection()
	p.mu.Unlock()
	p.send(s, s.sent)
	return nil
}

var newline = []byte{'\n'}

func (p *Publisher) hasRoom(cost int64) bool {
	return !p.refusals.active() && p.inFlight+len(p.queue) < p.window.size &&
		(p.bytes+cost <= windowBytes || p.bytes == 0)
}

// lockWhen locks p.mu as soon as ready returns true; ready is called with the
// lock held. If it returns an error, p.mu is not locked.
func (p *Publisher) lockWhen(ctx context.Context, ready func() bool) error {
	for {
		p.mu.Lock()
		if p.conn.broken.Err() != nil {
			p.mu.Unlock()
			return context.Cause(p.conn.broken)
		}
		if ready() {
			return nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.conn.broken.Done():
		case <-ctx.Done():
			return fmt.Errorf("stream: publish: %w", context.Cause(ctx))
		}
	}
}

// notify lets the calls of lockWhen look again.
func (p *Publisher) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// now is a time as the slots have it.
func (p *Publisher) now() time.Duration { return time.Since(p.start) }

// connection numbers the connections to the broker. A message sent on an
// earlier one is presumed lost.
func (p *Publisher) connection() uint64 { return p.conn.nc.Stats().Reconnects }

// Flush waits until every published message is done.
func (p *Publisher) Flush(ctx context.Context) error {
	err := p.lockWhen(ctx, func() bool { return len(p.slots) == 0 })
	if err == nil {
		p.refusals.full.end(roomAgain)
		p.mu.Unlock()
	}
	return err
}

// WaitAcked waits until the broker has every published message on disk.
func (p *Publisher) WaitAcked(ctx context.Context) error {
	err := p.lockWhen(ctx, func() bool { return p.inFlight+len(p.queue) == 0 })
	if err == nil {
		p.mu.Unlock()
	}
	return err
}

// RoundTrip returns the network's round trip to the broker, as measured at the
// start.
func (p *Publisher) RoundTrip() time.Duration { return p.window.slow - slowAck }

// Totals returns the counts so far.
func (p *Publisher) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.totals
}

// Acked returns what the broker has acknowledged so far.
func (p *Publisher) Acked() Acked {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.acked
	a.Line = a.Read
	for _, s := range p.slots {
		if s.chunk.Source == a.Source && (s.state == slotSent || s.state == slotQueued) {
			a.Line = min(a.Line, s.chunk.Line-1)
		}
	}
	return a
}

// First returns the line of the first published message of a source that is not done.
func (p *Publisher) First(source string) (line int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := uint64(math.MaxUint64)
	for id, s := range p.slots {
		if s.chunk.Source == source && id < first {
			first, line, ok = id, s.chunk.Line, true
		}
	}
	return line, ok
}

// Stalled returns for how long no message has been done, or 0 if there is none
// to be done.
func (p *Publisher) Stalled() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) == 0 {
		return 0
	}
	return p.now() - p.progress
}

// send sends one attempt of a slot's message. The reply subject carries the
// slot and the send time, so the answer says which attempt it is for.
func (p *Publisher) send(s *slot, at time.Duration) {
	m := s.msg
	m.Reply = p.ackInbox + strconv.FormatUint(s.id, 10) + "-" + strconv.FormatInt(int64(at), 10)
	if err := p.conn.nc.PublishMsg(&m); err != nil {
		p.refused(s.id, at, err)
	}
}

// onAck handles the broker's answer to one attempt.
func (p *Publisher) onAck(m *nats.Msg) {
	id, at, _ := strings.Cut(strings.TrimPrefix(m.Subject, p.ackInbox), "-")
	slotID, err := strconv.ParseUint(id, 10, 64)
	sent, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil {
		return
	}
	sequence, err := p.parseAck(m)
	if err != nil {
		p.refused(slotID, time.Duration(sent), err)
		return
	}
	p.accepted(slotID, time.Duration(sent), sequence)
}

// parseAck returns the message's sequence in the stream, or why the broker
// refused it.
func (p *Publisher) parseAck(m *nats.Msg) (sequence uint64, err error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == noResponders {
		return 0, nats.ErrNoResponders
	}
	var ack struct {
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("stream: unreadable acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Stream != Name {
		return 0, &streamMixupError{ack.Stream}
	}
	return ack.Sequence, nil
}

const noResponders = "503" // the status of an answer that the server itself made

// A streamMixupError says that another stream captured our subjects.
type streamMixupError struct{ stream string }

func (e *streamMixupError) Error() string {
	return fmt.Sprintf("stream: the message went to stream %s, not to %s", e.stream, Name)
}

// accepted handles an acknowledgement: the broker has the message on disk.
func (p *Publisher) accepted(id uint64, sent time.Duration, sequence uint64) {
	p.mu.Lock()
	now := p.now()
	p.window.acked(sent, now)
	p.losses.acked(sent, now)
	p.refusals.acked(now, len(p.queue))
	s := p.slots[id]
	finished := s != nil && (s.state == slotSent || s.state == slotQueued)
	if finished {
		p.leave(s)
		s.state, s.acked, s.sequence = slotAcked, now, sequence
		p.acked.Rows += int64(s.chunk.Records)
		p.acked.Messages++
		p.acked.Bytes += int64(len(s.msg.Data))
	}
	p.wakeResender()
	p.notify()
	p.mu.Unlock()
	if finished && !p.options.Stored {
		p.done(s, mta.Outcome{})
	}
}

// refused handles an attempt that the broker refused, or that could not be
// sent. The message is resent in its slot.
func (p *Publisher) refused(id uint64, sent time.Duration, err error) {
	if isPermanent(err) {
		p.conn.fail(fmt.Errorf("stream: publish: %w", err))
		return
	}
	connected := p.conn.nc.IsConnected()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slots[id]
	if s == nil || s.state != slotSent || s.sent != sent {
		return // done, or a later attempt is in flight
	}
	p.enqueue(s)
	p.refusals.add(err, sent, p.now(), connected)
	p.wakeResender()
}

// isPermanent reports whether a resend would be refused as well.
func isPermanent(err error) bool {
	_, mixup := errors.AsType[*streamMixupError](err)
	return mixup || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrHeadersNotSupported)
}

// leave takes a slot out of the window.
func (p *Publisher) leave(s *slot) {
	switch s.state {
	case slotSent:
		p.inFlight--
	case slotQueued:
		p.queue = slices.DeleteFunc(p.queue, func(q *slot) bool { return q == s })
	}
}

// enqueue has the resender send a slot again, in the order of the slots.
func (p *Publisher) enqueue(s *slot) {
	p.leave(s)
	s.state = slotQueued
	i, _ := slices.BinarySearchFunc(p.queue, s, func(a, b *slot) int { return cmp.Compare(a.id, b.id) })
	p.queue = slices.Insert(p.queue, i, s)
}

// done ends a slot, once.
func (p *Publisher) done(s *slot, o mta.Outcome) {
	p.mu.Lock()
	if s.state == slotDone {
		p.mu.Unlock()
		return
	}
	p.leave(s)
	s.state = slotDone
	now := p.now()
	p.mu.Unlock()
	if p.options.Done != nil {
		p.options.Done(Receipt{s.chunk, o, now - s.begun})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.slots, s.id) // only now: Flush must not return before the call above
	p.bytes -= s.cost
	p.progress = now
	p.totals.Messages++
	p.totals.Records += int64(s.chunk.Records)
	p.totals.Blank += int64(s.chunk.Blank)
	p.totals.Outcome = p.totals.Outcome.Add(o)
	if p.inFlight+len(p.queue) == 0 {
		p.refusals.clear() // no message is left to probe with
	}
	p.notify()
}

// resend runs until the publisher ends. It resends what was refused or
// presumed lost, within the window and with a backoff.
func (p *Publisher) resend(ctx context.Context) {
	for {
		timer := time.NewTimer(p.nextLook())
		select {
		case <-p.wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
		if !p.conn.nc.IsConnected() {
			continue // what is in flight is presumed lost after the reconnect
		}
		if s, at := p.findLost(); s != nil {
			p.send(s, at)
		}
		for {
			s, at := p.nextResend()
			if s == nil {
				break
			}
			p.send(s, at)
		}
	}
}

func (p *Publisher) wakeResender() {
	if len(p.queue) == 0 {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// nextLook returns how long the resender may sleep.
func (p *Publisher) nextLook() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || !p.refusals.active() {
		return lossCheckEvery
	}
	return min(lossCheckEvery, max(0, p.refusals.until-p.now()))
}

// nextResend takes the next slot out of the queue, or returns nil if none may
// be sent now.
func (p *Publisher) nextResend() (s *slot, at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	limit := p.window.size
	if p.refusals.active() {
		limit = 1 // one message probes whether the broker accepts again
	}
	if len(p.queue) == 0 || p.inFlight >= limit || now < p.refusals.until {
		return nil, 0
	}
	s = p.queue[0]
	p.leave(s)
	p.inFlight++
	s.state, s.sent, s.connection = slotSent, now, p.connection()
	return s, now
}

// findLost queues every message that is presumed lost. If the broker has
// answered nothing for a while, it returns the oldest message in flight, to be
// resent as a probe.
func (p *Publisher) findLost() (probe *slot, at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	connection := p.connection()
	var oldest *slot
	for _, s := range p.slots {
		switch {
		case s.state != slotSent:
		case s.connection < connection || p.losses.overtaken(s.sent):
			p.enqueue(s)
		case oldest == nil || s.sent < oldest.sent:
			oldest = s
		}
	}
	now := p.now()
	if oldest == nil || !p.losses.probe(oldest.sent, now, p.inFlight) {
		return nil, 0
	}
	oldest.sent, oldest.connection = now, connection
	return oldest, now
}
