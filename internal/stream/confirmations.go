package stream

// Confirmations: with PublisherOptions.Stored, a message is done once a consumer has
// committed its rows. Confirmations are not queued and may be lost. The publisher
// then resends the message to get another one.

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
	// confirmWithin is how long the confirmation of a message may take after the
	// message has left the queue.
	confirmWithin = 10 * time.Second
	// resendAfter is the same for a message still in the queue. It doubles with each
	// resend. It matters only with a consumer that never purges.
	resendAfter = 2 * time.Minute
	// silentFor is the time without any confirmation before a warning is logged.
	silentFor          = 3 * time.Second
	confirmationsEvery = 500 * time.Millisecond // between two checks for lost confirmations
)

// onConfirmation completes a message. Further confirmations of it do nothing.
func (p *Publisher) onConfirmation(m *nats.Msg) {
	var o mta.Outcome
	if err := json.Unmarshal(m.Data, &o); err != nil {
		p.conn.log.Warn("malformed confirmation", "error", err)
		return
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, p.confirms), 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	s := p.slots[id]
	p.silence.end("a consumer sends confirmations")
	p.mu.Unlock()
	if s != nil {
		p.done(s, o)
	}
}

// watchConfirmations resends messages whose confirmation is presumed lost.
func (p *Publisher) watchConfirmations(ctx context.Context) {
	var created time.Time // of the stream at the last check
	for sleep(ctx, confirmationsEvery) {
		if !p.overdue() {
			continue
		}
		s, err := p.conn.lookUpStream(ctx, apiTimeout)
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

// overdue reports whether a confirmation is late. It logs a warning if none arrives
// at all.
func (p *Publisher) overdue() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for _, s := range p.slots {
		if s.state == slotAcked && now-s.acked > min(silentFor, p.options.confirmWithin) {
			if now-p.progress > silentFor {
				p.silence.begin("no consumer sends confirmations, waiting for one", "unconfirmed", len(p.slots))
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
			s.sequence = math.MaxUint64 // it counts as gone, even if the stream reuses the sequence
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
