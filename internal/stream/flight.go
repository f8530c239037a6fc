package stream

// Every try of a message is a flight, and some never land: a broker that is
// cut off, or a leader that is lost, gives no answer. Those are found by what
// lands after them, not by a clock: a broker that is slow, or a link that is
// narrow, would only get the more to do.

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// A flight is one try of a slot's message.
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
