package stream

// Sending again what was refused.

import (
	"context"
	"time"
)

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
		if !sleep(ctx, lookEvery) {
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
