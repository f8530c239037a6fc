package stream

// What the broker says to a message, and what becomes of its slot.

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

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
	if hopeless(err) {
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
	case full(err):
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

// hopeless errors come again however often one tries.
func hopeless(err error) bool {
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
