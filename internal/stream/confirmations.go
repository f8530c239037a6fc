package stream

// Confirmations: with PublisherOptions.Stored a message is done when a consumer
// has committed its rows. Confirmations are not queued, so one may be lost. Its
// rows must then be resent to be confirmed again.

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

const (
	// confirmWithin is how long the confirmation may take of a message that has
	// left the queue.
	confirmWithin = 10 * time.Second
	// resendAfter is the same for a message that is still in the queue, and
	// doubles with each resend. One copy in the queue is enough; this is for a
	// consumer that never purges.
	resendAfter = 2 * time.Minute
	// silentFor is how long no confirmation must arrive to be reported.
	silentFor          = 3 * time.Second
	confirmationsEvery = 500 * time.Millisecond // between two checks
)

// onConfirmation ends a message, once, however often it is confirmed.
func (p *Publisher) onConfirmation(m *nats.Msg) {
	var o mta.Outcome
	if err := json.Unmarshal(m.Data, &o); err != nil {
		p.conn.log.Warn("unreadable confirmation", "error", err)
		return
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, p.confirms), 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	s := p.slots[id]
	p.silence.end("a consumer answers")
	p.mu.Unlock()
	if s != nil {
		p.done(s, o)
	}
}

// watchConfirmations resends messages whose confirmation must be lost.
func (p *Publisher) watchConfirmations(ctx context.Context) {
	var created time.Time // of the stream at the last check
	for sleep(ctx, confirmationsEvery) {
		if !p.overdue() {
			continue
		}
		s, err := p.conn.lookUpStream(ctx)
		if err != nil {
			p.conn.log.Debug("check unconfirmed messages", "error", err)
			continue
		}
		info := s.CachedInfo()
		recreated := !created.IsZero() && !created.Equal(info.Created)
		p.resendUnconfirmed(info.State, recreated)
		created = info.Created
	}
}

// overdue reports whether a confirmation is late, and tells the user if none
// arrives at all.
func (p *Publisher) overdue() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, s := range p.slots {
		if s.state == slotAcked && now-s.acked > min(silentFor, p.options.confirmWithin) {
			if now-p.progress > silentFor {
				p.silence.begin("no consumer answers, waiting for one", "unconfirmed", len(p.slots))
			}
			return true
		}
	}
	return false
}

// resendUnconfirmed resends the messages that have left the queue without a
// confirmation, and only those: while no consumer runs, the queue would fill
// with copies.
func (p *Publisher) resendUnconfirmed(state jetstream.StreamState, recreated bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, s := range p.slots {
		if s.state != slotAcked {
			continue
		}
		patience := resendAfter << min(s.resends, 10)
		if recreated || s.sequence < state.FirstSeq || s.sequence > state.LastSeq {
			s.sequence = math.MaxUint64 // it stays gone, whatever sequences the stream has later
			patience = p.options.confirmWithin
		}
		if now-s.acked < patience {
			continue
		}
		p.conn.log.Debug("no confirmation, resending", "source", s.chunk.Source, "line", s.chunk.Line)
		s.resends++
		p.enqueue(s)
		p.wakeResender()
	}
}
