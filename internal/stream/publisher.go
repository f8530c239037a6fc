package stream

// Publishing: many messages on their way at once, each sent again in its place
// until the broker has it.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/semaphore"

	"turnstile/internal/mta"
)

// PublisherOptions say when a message is done.
type PublisherOptions struct {
	// Stored: a message is done when a consumer has committed its rows, not
	// already when the broker has it on disk.
	Stored bool
	// Done is told of every message that is done. It must not block. The
	// chunk's Data is only good during the call.
	Done func(Receipt)

	confirmWithin time.Duration // for tests; 0: [confirmWithin]
	patience      time.Duration // for tests; 0: [leastPatience]
}

// A Receipt is what became of a message.
type Receipt struct {
	Chunk   mta.Chunk
	Outcome mta.Outcome // with Stored only
	Took    time.Duration
}

// Totals count what is done.
type Totals struct {
	Messages, Records, Blank int64
	Outcome                  mta.Outcome
}

// A Publisher sends chunks. Its methods may be called from any goroutine.
type Publisher struct {
	conn    *Conn
	js      jetstream.JetStream
	options PublisherOptions
	window  *semaphore.Weighted // by bytes; a slot holds its share until it is done
	inbox   string              // confirmations come to tokens below it
	ends    context.CancelFunc  // ends the two goroutines below
	wg      sync.WaitGroup
	wake    chan struct{} // the retrier has something to do
	cleanup []func() error

	mu       sync.Mutex // guards all below
	slots    map[*slot]struct{}
	flights  map[*nats.Msg]flight
	answered time.Time        // when the broker last said anything
	heard    time.Time        // it has the messages sent until then, or never got them
	patience time.Duration    // how long it may say nothing
	asked    time.Time        // when we last sent one more for that
	open     int              // slots, and those that are just being told of
	tokens   map[string]*slot // by the last token of the confirmation's subject
	waiting  []*slot          // to be sent again
	full     bool             // the last answer was that the queue is full
	lastFull time.Time
	moved    time.Time // when something was last done, or first put in flight
	totals   Totals
	idle     chan struct{} // closed when there is no slot left; nil: nobody waits
	fullness notice
	trouble  notice
	silence  notice // of the consumers
}

// A slot is a message that is not done yet.
type slot struct {
	msg      *nats.Msg // the last one sent; all of them are alike
	sent     time.Time // when
	waits    bool      // to be sent, or sent again
	chunk    mta.Chunk
	cost     int64
	begun    time.Time
	token    string
	acked    time.Time // zero: the broker does not have it yet
	sequence uint64
	resends  int // because no confirmation came
}

const (
	// mostInFlight bounds how many messages are on their way; with small ones
	// the bytes alone would let in too many.
	mostInFlight = 4096
	retryAfter   = 30 * time.Millisecond
	retryAtMost  = 250 * time.Millisecond
)

// Publisher waits for the stream, checks it, and returns a publisher for it.
func (c *Conn) Publisher(ctx context.Context, o PublisherOptions) (*Publisher, error) {
	if _, err := c.Stream(ctx); err != nil {
		return nil, err
	}
	if o.confirmWithin == 0 {
		o.confirmWithin = confirmWithin
	}
	if o.patience == 0 {
		o.patience = leastPatience
	}
	p := &Publisher{
		conn: c, options: o, window: semaphore.NewWeighted(windowBytes), wake: make(chan struct{}, 1),
		slots: map[*slot]struct{}{}, flights: map[*nats.Msg]flight{}, tokens: map[string]*slot{},
		moved: time.Now(), patience: o.patience,
		fullness: notice{log: c.log}, trouble: notice{log: c.log, after: time.Second},
		silence: notice{log: c.log},
	}
	var err error
	p.js, err = jetstream.New(c.nc,
		jetstream.WithPublishAsyncMaxPending(64*mostInFlight), // the window is the limit, not this
		jetstream.WithPublishAsyncTimeout(forgetAfter),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, a *jetstream.PubAck) { p.acked(m, a) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { p.refused(m, err) }),
	)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	background, cancel := context.WithCancel(context.Background())
	p.ends = cancel
	if o.Stored {
		if err := p.hearConfirmations(background); err != nil {
			cancel()
			return nil, err
		}
	}
	p.wg.Go(func() { p.retry(background) })
	p.wg.Go(func() { p.watch(background) })
	return p, nil
}

// Publish puts a chunk on its way, and returns when there is room in the window
// for it. It copies the chunk's Data.
func (p *Publisher) Publish(ctx context.Context, c mta.Chunk) error {
	m, err := encode(Subject(c.Source), c)
	if err != nil {
		return err
	}
	s := &slot{msg: m, chunk: c, cost: min(windowBytes, max(windowBytes/mostInFlight, int64(len(c.Data))))}
	if err := p.acquire(ctx, s.cost); err != nil {
		return err
	}
	m.Data = bytes.Clone(c.Data)
	s.chunk.Data, s.begun = m.Data, time.Now()
	s.sent = s.begun // or it would count as sent long ago until it is
	if p.options.Stored {
		s.token = nuid.Next()
		m.Header.Set(confirmHeader, p.inbox+s.token)
	}
	p.mu.Lock()
	if len(p.slots) == 0 {
		p.moved = s.begun
	}
	p.slots[s] = struct{}{}
	p.open++
	if p.options.Stored {
		p.tokens[s.token] = s
	}
	hold := p.full || len(p.waiting) > 0
	if hold {
		p.wait(s)
	}
	p.mu.Unlock()
	if !hold {
		p.send(s)
	}
	return nil
}

// acquire waits for room in the window.
func (p *Publisher) acquire(ctx context.Context, cost int64) error {
	if p.window.TryAcquire(cost) {
		return p.err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.conn.broken, func() { cancel(context.Cause(p.conn.broken)) })()
	if err := p.window.Acquire(ctx, cost); err != nil {
		return fmt.Errorf("stream: publish: %w", context.Cause(ctx))
	}
	return nil
}

func (p *Publisher) err() error { return context.Cause(p.conn.broken) }

// Flush waits until all is done that was put on its way.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	if p.open == 0 {
		p.mu.Unlock()
		return p.err()
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-p.conn.broken.Done():
		return p.err()
	case <-ctx.Done():
		return fmt.Errorf("stream: publish: %w", context.Cause(ctx))
	}
}

// Totals counts what is done so far.
func (p *Publisher) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.totals
}

// First returns the first line of a source that is not done.
func (p *Publisher) First(source string) (line uint32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.slots {
		if s.chunk.Source == source && (!ok || s.chunk.Line < line) {
			line, ok = s.chunk.Line, true
		}
	}
	return line, ok
}

// Stalled says for how long nothing has got done, although something is on its
// way.
func (p *Publisher) Stalled() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slots) == 0 {
		return 0
	}
	return time.Since(p.moved)
}

// Close ends the publisher. What is not done then stays so.
func (p *Publisher) Close() error {
	p.ends()
	p.wg.Wait()
	var errs []error
	for _, f := range p.cleanup {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// A flight is one try of a slot's message. Some never land: a broker that is
// cut off, or a leader that is lost, gives no answer. Those are found by what
// lands after them, not by a clock: a broker that is slow, or a link that is
// narrow, would only get the more to do.
type flight struct {
	slot *slot
	sent time.Time
}

const (
	// leastPatience is how long nothing need be answered before one message,
	// the oldest, is sent once more, to see whether anyone is there.
	leastPatience = 2 * time.Second
	mostPatience  = 30 * time.Second
	// overtakenBy is how much later a message must have been sent, and been
	// answered, for one before it to count as lost. Answers come in order, but
	// what is sent at the same time need not be.
	overtakenBy = 500 * time.Millisecond
	watchEvery  = 250 * time.Millisecond
	// forgetAfter is how long the library remembers a flight, to tell us of it.
	forgetAfter = time.Minute
)

// send hands a message to the client library, unless there is no need any
// more. Its answer goes to acked or refused.
func (p *Publisher) send(s *slot) {
	m := &nats.Msg{Subject: s.msg.Subject, Header: s.msg.Header, Data: s.msg.Data}
	p.mu.Lock()
	s.waits = false
	if _, open := p.slots[s]; !open || !s.acked.IsZero() {
		p.mu.Unlock()
		return
	}
	s.msg, s.sent = m, time.Now()
	p.flights[m] = flight{s, s.sent}
	p.mu.Unlock()
	if _, err := p.js.PublishMsgAsync(m); err != nil {
		p.refused(m, err)
	}
}

// landed ends a flight, and returns its slot if that is open.
func (p *Publisher) landed(m *nats.Msg, accepted bool) (s *slot, open bool) {
	f, ok := p.flights[m]
	if !ok {
		return nil, false
	}
	delete(p.flights, m)
	if accepted {
		p.answered = time.Now()
		p.patience = min(max(p.options.patience, 2*p.answered.Sub(f.sent)), mostPatience)
		if f.sent.After(p.heard) {
			p.heard = f.sent
		}
	}
	_, open = p.slots[f.slot]
	return f.slot, open
}

// watch looks for flights that will not land.
func (p *Publisher) watch(ctx context.Context) {
	for sleep(ctx, watchEvery) {
		if p.conn.nc.IsConnected() {
			p.lookForLost(time.Now())
		}
	}
}

func (p *Publisher) lookForLost(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var oldest *slot
	for s := range p.slots {
		switch {
		case s.waits || !s.acked.IsZero():
		case p.heard.Sub(s.sent) > overtakenBy:
			p.wait(s)
			p.poke()
		case oldest == nil || s.sent.Before(oldest.sent):
			oldest = s
		}
	}
	if oldest != nil && now.Sub(oldest.sent) > p.patience && now.Sub(p.answered) > p.patience && now.Sub(p.asked) > p.patience {
		p.asked = now
		p.trouble.begin("the broker does not answer, asking again", "unanswered", len(p.flights))
		p.wait(oldest)
		p.poke()
	}
}

// acked: the broker has it on disk.
func (p *Publisher) acked(m *nats.Msg, a *jetstream.PubAck) {
	if a.Stream != Name {
		p.conn.fail(fmt.Errorf("stream: %s went to the stream %s, not to %s", m.Subject, a.Stream, Name))
		return
	}
	p.mu.Lock()
	s, there := p.landed(m, true)
	p.accepted()
	if there && p.options.Stored {
		s.acked, s.sequence = time.Now(), a.Sequence
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if there {
		p.done(s, mta.Outcome{})
	}
}

// refused: the broker does not have it, or did not say so. Either way it is
// sent again; the table knows its rows.
func (p *Publisher) refused(m *nats.Msg, err error) {
	if isPermanent(err) {
		p.conn.fail(fmt.Errorf("stream: publish: %w", err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, there := p.landed(m, false)
	if !there || s.msg != m || !s.acked.IsZero() {
		return // done, or another try is on its way
	}
	p.wait(s)
	switch {
	case isQueueFull(err):
		p.full, p.lastFull = true, time.Now()
		p.fullness.begin("the queue is full, waiting for room (does a consumer run?)", "error", err)
	case p.conn.nc.IsConnected():
		p.trouble.begin("the broker does not take rows, trying again", "error", err)
	}
	p.poke()
}

// wait has a slot sent by the retrier.
func (p *Publisher) wait(s *slot) {
	if !s.waits {
		s.waits = true
		p.waiting = append(p.waiting, s)
	}
}

func (p *Publisher) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// isPermanent errors come again however often one tries.
func isPermanent(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrHeadersNotSupported)
}

// done gives back a slot, once, after telling of it.
func (p *Publisher) done(s *slot, o mta.Outcome) {
	now := time.Now()
	p.mu.Lock()
	_, first := p.slots[s]
	delete(p.slots, s)
	delete(p.tokens, s.token)
	p.mu.Unlock()
	if !first {
		return
	}
	if p.options.Done != nil {
		p.options.Done(Receipt{s.chunk, o, now.Sub(s.begun)})
	}
	p.mu.Lock()
	p.moved = now
	p.open--
	p.totals.Messages++
	p.totals.Records += int64(s.chunk.Records)
	p.totals.Blank += int64(s.chunk.Blank)
	p.totals.Outcome = p.totals.Outcome.Add(o)
	if p.open == 0 {
		p.drained()
	}
	p.mu.Unlock()
	p.window.Release(s.cost)
}

// drained tells those who wait for it that there is nothing left in flight.
func (p *Publisher) drained() {
	p.fullness.end(roomAgain)
	if p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// retry sends what waits, while there is a broker to send it to. While the
// queue is full it sends one message at a time, to see whether there is room
// again: all of them would keep the broker busy with refusing.
func (p *Publisher) retry(ctx context.Context) {
	delay := retryAfter
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if !sleep(ctx, delay) || !p.awaitBroker(ctx) {
			return
		}
		p.mu.Lock()
		again := p.waiting
		if p.full {
			delay = min(2*delay, retryAtMost)
			again = again[:min(1, len(again))]
		} else {
			delay = retryAfter
		}
		p.waiting = p.waiting[len(again):]
		if len(p.waiting) == 0 {
			p.waiting = nil // or the array behind it would only ever grow
		}
		p.mu.Unlock()
		for _, s := range again {
			p.send(s)
		}
	}
}

// accepted notes that the broker takes messages.
func (p *Publisher) accepted() {
	p.trouble.end("the broker takes rows again")
	if p.full {
		p.full = false
		p.poke()
	}
	// A queue that is read more slowly than it is filled gets and loses room
	// many times a second. That is one state, not many.
	if len(p.waiting) == 0 && time.Since(p.lastFull) > fullFor {
		p.fullness.end(roomAgain)
	}
}

const (
	roomAgain = "there is room in the queue again"
	fullFor   = time.Second
)

// awaitBroker waits while the broker is away.
func (p *Publisher) awaitBroker(ctx context.Context) bool {
	for !p.conn.nc.IsConnected() {
		if !sleep(ctx, pollInterval) {
			return false
		}
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
