package stream

// Who publishes summaries, and who hears them.

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// An Announcer publishes one kind of summary while a viewer listens.
type Announcer struct {
	conn    *Conn
	subject string
	changed func() bool // since it was last called
	take    func(last bool) any
	sub     *nats.Subscription
	heard   chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// AnnounceCommits publishes what take returns, what was committed since the last
// call, if changed returns true. Both are called on another goroutine.
func (c *Conn) AnnounceCommits(changed func() bool, take func() CommitSummary) (*Announcer, error) {
	return c.announce(commitSummaries, changed, func(bool) any { return take() })
}

// AnnounceStandby says once a second that a process of that name stands by.
func (c *Conn) AnnounceStandby(name string) (*Announcer, error) {
	return c.announce(standbyNotices, func() bool { return false }, func(last bool) any {
		if last {
			return nil
		}
		return StandbyNotice{SummaryVersion, name}
	})
}

// AnnounceAcks publishes what the broker has acknowledged to a publisher. The last
// summary is published without a viewer, too: a producer may end before it has heard
// of one.
func (c *Conn) AnnounceAcks(name string, p *Publisher) (*Announcer, error) {
	var known Acked
	changed := func() bool {
		before := known
		known = p.Acked()
		return known != before
	}
	return c.announce(ackSummaries, changed, func(last bool) any {
		return AckSummary{SummaryVersion, name, p.start.UnixMilli(), p.Acked(), last}
	})
}

func (c *Conn) announce(subject string, changed func() bool, take func(last bool) any) (*Announcer, error) {
	a := &Announcer{
		conn: c, subject: subject, changed: changed, take: take,
		heard: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	if a.sub, err = c.nc.Subscribe(viewerNotices, func(*nats.Msg) { a.hear() }); err != nil {
		return nil, wrap("hear of viewers", err)
	}
	if a.Watched() { // another announcer of the connection has heard of the viewer
		a.heard <- struct{}{}
	}
	go a.run()
	return a, nil
}

// hear notes that a viewer listens.
func (a *Announcer) hear() {
	a.conn.viewed.Store(time.Now().Add(viewerExpires).UnixNano())
	select {
	case a.heard <- struct{}{}:
	default:
	}
}

// Watched reports whether a viewer listens. If not, there is no need to collect
// anything.
func (a *Announcer) Watched() bool { return time.Now().UnixNano() < a.conn.viewed.Load() }

// Close publishes the last summary and ends the announcer.
func (a *Announcer) Close() error {
	close(a.stop)
	<-a.done
	a.publish(true)
	return unsubscribe(a.sub)
}

// run publishes until Close. It sleeps while nobody listens.
func (a *Announcer) run() {
	defer close(a.done)
	for {
		select {
		case <-a.heard:
		case <-a.stop:
			return
		}
		if !a.announceWhileWatched() {
			return
		}
	}
}

// announceWhileWatched returns false if the announcer was closed.
func (a *Announcer) announceWhileWatched() bool {
	tick := time.NewTicker(summaryEvery)
	defer tick.Stop()
	a.publish(false) // the viewer learns at once who is there
	published := time.Now()
	for a.Watched() {
		select {
		case now := <-tick.C:
			if a.changed() || now.Sub(published) >= heartbeatEvery {
				a.publish(false)
				published = now
			}
		case <-a.stop:
			return false
		}
	}
	return true
}

// publish publishes one summary. It is not published again if that fails: the viewer
// notices the gap.
func (a *Announcer) publish(last bool) {
	summary := a.take(last)
	if summary == nil {
		return
	}
	text, err := json.Marshal(summary)
	if err == nil {
		err = a.conn.nc.Publish(a.subject, text)
	}
	if err != nil {
		a.conn.log.Debug("publish a summary", "subject", a.subject, "error", err)
	}
}

// isSummaryViolation reports whether the broker refuses the subject of a summary. A
// broker of an earlier version, or one with users of its own, may do so. Rows flow all
// the same.
func isSummaryViolation(err error) bool { return strings.Contains(err.Error(), `"`+summarySubjects) }

// A Viewer receives the summaries.
type Viewer struct {
	conn *Conn
	sub  *nats.Subscription
	stop chan struct{}
	done chan struct{}
}

// View announces a viewer and calls each for each summary, on one goroutine: a
// [CommitSummary], a [StandbyNotice] or an [AckSummary]. A summary of another version,
// or a malformed one, is an error.
func (c *Conn) View(each func(summary any, err error)) (*Viewer, error) {
	v := &Viewer{conn: c, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	v.sub, err = c.nc.Subscribe(summarySubjects+"*", func(m *nats.Msg) {
		if m.Subject != viewerNotices {
			each(decodeSummary(m.Subject, m.Data))
		}
	})
	if err != nil {
		return nil, wrap("hear the summaries", err)
	}
	go v.announce()
	return v, nil
}

// announce tells the others once a second that somebody listens.
func (v *Viewer) announce() {
	defer close(v.done)
	tick := time.NewTicker(viewerEvery)
	defer tick.Stop()
	for {
		if err := v.conn.nc.Publish(viewerNotices, nil); err != nil {
			v.conn.log.Debug("announce the viewer", "error", err)
		}
		select {
		case <-tick.C:
		case <-v.stop:
			return
		}
	}
}

// Close ends the viewer.
func (v *Viewer) Close() error {
	close(v.stop)
	<-v.done
	return unsubscribe(v.sub)
}

// unsubscribe ends a subscription, if its connection has not ended it.
func unsubscribe(sub *nats.Subscription) error {
	if err := sub.Unsubscribe(); !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return wrap("unsubscribe", err)
	}
	return nil
}
