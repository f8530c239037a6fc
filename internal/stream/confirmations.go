package stream

// Confirmations: a message is done when a consumer has committed its rows.

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"turnstile/internal/mta"
)

const (
	// confirmWithin is how long a message that has left the queue may take to
	// be confirmed. Confirmations are not queued: one that comes while we are
	// cut off is lost, and then the rows must pass again to be answered again.
	confirmWithin = 10 * time.Second
	// resendAnyway is how long a message that is still in the queue may take,
	// at first; then twice as long, and so on. It waits there for a consumer,
	// and one copy is enough; this is for a consumer that never purges.
	resendAnyway = 2 * time.Minute
	// silentFor is how long no confirmation must come to be worth a word.
	silentFor  = 3 * time.Second
	sweepEvery = 500 * time.Millisecond
)

// hearConfirmations subscribes to a subject of our own, for all messages.
func (p *Publisher) hearConfirmations(ctx context.Context) error {
	p.inbox = confirmSubjects + nuid.Next() + "."
	sub, err := p.conn.nc.Subscribe(p.inbox+"*", p.confirmed)
	if err != nil {
		return fmt.Errorf("stream: hear confirmations: %w", err)
	}
	p.cleanup = append(p.cleanup, func() error {
		if p.conn.nc.IsClosed() {
			return nil
		}
		return sub.Unsubscribe()
	})
	p.wg.Go(func() { p.sweep(ctx) })
	return nil
}

// confirmed counts each message once, however often it is confirmed.
func (p *Publisher) confirmed(m *nats.Msg) {
	var o mta.Outcome
	if err := json.Unmarshal(m.Data, &o); err != nil {
		p.conn.log.Warn("a confirmation that can't be read", "error", err)
		return
	}
	p.mu.Lock()
	s, ok := p.tokens[strings.TrimPrefix(m.Subject, p.inbox)]
	p.silence.end("a consumer answers")
	p.mu.Unlock()
	if ok {
		p.done(s, o)
	}
}

// sweep looks after what is in the queue and not confirmed.
func (p *Publisher) sweep(ctx context.Context) {
	var created time.Time // of the stream: another one is empty
	for sleep(ctx, sweepEvery) {
		if !p.overdue() {
			continue
		}
		s, err := p.conn.lookUpStream(ctx)
		if err != nil {
			p.conn.log.Debug("look for unconfirmed messages", "error", err)
			continue
		}
		info := s.CachedInfo()
		p.resend(func(s *slot) bool {
			return !created.IsZero() && !created.Equal(info.Created) ||
				s.sequence < info.State.FirstSeq || s.sequence > info.State.LastSeq
		})
		created = info.Created
	}
}

// overdue says whether a confirmation should have come, and tells the user
// when there seems to be nobody to give one.
func (p *Publisher) overdue() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	overdue := false
	for s := range p.slots {
		if !s.acked.IsZero() && time.Since(s.acked) > min(silentFor, p.options.confirmWithin) {
			overdue = true
			break
		}
	}
	if overdue && time.Since(p.moved) > silentFor {
		p.silence.begin("no consumer answers, waiting for one", "unconfirmed", len(p.slots))
	}
	return overdue
}

// resend publishes again what must be, and only that: as long as no consumer
// runs, the queue would fill with copies.
func (p *Publisher) resend(gone func(*slot) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.slots {
		switch waited := time.Since(s.acked); {
		case s.acked.IsZero():
			continue
		case gone(s):
			s.sequence = 0 // whatever the stream's sequences are from now on
			if waited < p.options.confirmWithin {
				continue
			}
		case waited < resendAnyway<<min(s.resends, 10):
			continue
		}
		p.conn.log.Debug("not confirmed, sending again", "source", s.chunk.Source, "line", s.chunk.Line)
		s.acked = time.Time{}
		s.resends++
		p.wait(s)
		p.poke()
	}
}
