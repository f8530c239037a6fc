package stream

// What the publisher learns from the broker's answers: how many messages to
// keep in flight, which of them are lost, and when to pause.

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// The window bounds the messages that are in flight. The broker stores all
// messages it has received, with an fsync each, before it acknowledges or
// delivers any: a large window gains nothing and delays everybody.
type window struct {
	size   int
	slow   time.Duration // the window is halved if an acknowledgement takes longer
	acks   int           // since the window last grew
	halved time.Duration // when
}

const (
	startWindow = 4
	minWindow   = 2
	maxWindow   = 32
	slowAck     = 500 * time.Millisecond // and the network's round trip
)

// acked adapts the window: one more per round, or half as many. A window is
// halved once for all messages that were in flight at that time.
func (w *window) acked(sent, now time.Duration) {
	switch {
	case now-sent > w.slow && sent >= w.halved:
		w.size, w.halved, w.acks = max(minWindow, w.size/2), now, 0
	case now-sent <= w.slow:
		if w.acks++; w.acks >= w.size {
			w.size, w.acks = min(maxWindow, w.size+1), 0
		}
	}
}

// losses detect messages that the broker will never acknowledge: it was cut
// off, or its leader was lost. No clock decides that, because a slow broker
// would only get more to do. A message is presumed lost once a later one is
// acknowledged. If nothing is acknowledged, the oldest is resent as a probe.
type losses struct {
	newest   time.Duration // newest acknowledged send time
	lastAck  time.Duration
	lastTry  time.Duration // when the last probe was sent
	min      time.Duration
	patience time.Duration // how long the broker may acknowledge nothing
	trouble  notice
}

const (
	minPatience = 2 * time.Second
	maxPatience = 30 * time.Second
	// overtakenBy is how much later than a lost message one must have been sent
	// that is acknowledged. Messages sent at the same time may change order.
	overtakenBy    = 500 * time.Millisecond
	lossCheckEvery = 250 * time.Millisecond
)

func (l *losses) acked(sent, now time.Duration) {
	l.newest, l.lastAck = max(l.newest, sent), now
	l.patience = min(max(l.min, 2*(now-sent)), maxPatience)
	l.trouble.end("the broker answers again")
}

func (l *losses) overtaken(sent time.Duration) bool { return l.newest-sent > overtakenBy }

// probe reports whether the oldest message, sent at this time, is to be resent.
func (l *losses) probe(sent, now time.Duration, inFlight int) bool {
	if now-max(sent, l.lastAck, l.lastTry) <= l.patience {
		return false
	}
	l.lastTry = now
	l.trouble.begin("the broker does not answer (is its disk full? its log says so), resending one message", "in_flight", inFlight)
	return true
}

// refusals pause the publisher while the broker refuses messages. One message
// at a time probes whether it accepts again: all of them would keep it busy
// with refusing.
type refusals struct {
	delay time.Duration // 0: the broker accepts messages
	since time.Duration // when delay was last set
	until time.Duration // when the next probe may be sent

	full     notice // the queue is full
	whenFull string
	lastFull time.Duration
	other    notice // any other reason
}

const (
	minDelay = 30 * time.Millisecond
	maxDelay = 250 * time.Millisecond
	// fullFor is how long the queue must have had room to be called not full.
	// A consumer that is slower than the producer makes and loses room many
	// times a second: that is one state, not many.
	fullFor   = 5 * time.Second
	roomAgain = "there is room in the queue again"
)

func (r *refusals) active() bool { return r.delay > 0 }

// add notes a refusal. The delay grows once for all messages that were in
// flight at the same time.
func (r *refusals) add(err error, sent, now time.Duration, connected bool) {
	if r.delay == 0 || sent >= r.since {
		r.delay, r.since = min(max(minDelay, 2*r.delay), maxDelay), now
		r.until = now + r.delay
	}
	switch {
	case isQueueFull(err):
		r.lastFull = now
		attrs := []any{"error", err}
		if r.whenFull != "" {
			attrs = append(attrs, "hint", r.whenFull)
		}
		r.full.begin("the queue is full, waiting for room", attrs...)
	case isTooMany(err):
		r.other.begin("the broker receives more messages than its disk takes, retrying", "error", err)
	case errors.Is(err, nats.ErrNoResponders):
		r.other.begin("the broker does not serve the stream now, retrying", "error", err)
	case connected:
		r.other.begin("the broker refuses messages, retrying", "error", err)
	}
}

// acked notes that the broker accepts messages again.
func (r *refusals) acked(now time.Duration, queued int) {
	r.clear()
	r.other.end("the broker accepts messages again")
	if queued == 0 && now-r.lastFull > fullFor {
		r.full.end(roomAgain)
	}
}

// clear ends the pause.
func (r *refusals) clear() { r.delay, r.until = 0, 0 }
