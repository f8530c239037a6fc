package stream

// Summaries: what writers, standbys and producers say of themselves to a page that
// shows the stream. They are core NATS messages. Nothing waits for a viewer, and a
// lost summary loses no row: the database counts its rows itself.
//
// A viewer announces itself once a second. Only then do the others collect and
// publish: without a viewer a summary costs one comparison of times for a commit.
// The alternative, to publish and let the broker drop it, costs the writer the
// collecting and the encoding.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

// SummaryVersion is the version of the JSON form of summaries.
const SummaryVersion = 1

const (
	viewerRole = "page" // it can't do without summaries

	summarySubjects = "turnstile.summary."
	commitSummaries = summarySubjects + "writer"
	standbyNotices  = summarySubjects + "standby"
	ackSummaries    = summarySubjects + "producer"
	viewerNotices   = summarySubjects + "viewer"

	summaryEvery   = 100 * time.Millisecond // at most, while something changes
	heartbeatEvery = time.Second            // while nothing changes
	viewerEvery    = time.Second
	viewerExpires  = 3 * viewerEvery
)

// A CommitSummary is what one writer has committed since its previous summary.
type CommitSummary struct {
	Version      int           `json:"version"`
	Writer       string        `json:"writer"` // host/pid
	From         mta.Inserted  `json:"from"`   // the database's count of inserted rows before these commits
	To           mta.Inserted  `json:"to"`     // the same after them
	Transactions int           `json:"transactions"`
	Busy         float64       `json:"busy"` // seconds in transactions
	Outcome      mta.Outcome   `json:"outcome"`
	Stations     StationCounts `json:"stations"`
	Hours        HourCounts    `json:"hours"`
	Latest       []RowSummary  `json:"latest"` // a few of the newest rows, oldest first
	Lines        []LineRange   `json:"lines"`  // which lines were in these commits, stored or not
}

// StationCounts are columns: rows and riders of each station complex. Only rows that
// were not there before count.
type StationCounts struct {
	IDs    []string `json:"ids"`
	Rows   []int64  `json:"rows"`
	Riders []int64  `json:"riders"`
}

// HourCounts are columns: the riders of each hour. An hour is a Ride's At divided by
// 3600.
type HourCounts struct {
	Hours  []int64 `json:"hours"`
	Riders []int64 `json:"riders"`
}

// A RowSummary is one committed row.
type RowSummary struct {
	Source  string `json:"source"`
	Line    int64  `json:"line"`
	Hour    int64  `json:"hour"`
	Station string `json:"station"` // the id of the complex
	Riders  int64  `json:"riders"`
}

// A LineRange is a range of lines of a source.
type LineRange struct {
	Source string `json:"source"`
	First  int64  `json:"first"`
	Last   int64  `json:"last"`
}

// A StandbyNotice says that a process waits to become the writer.
type StandbyNotice struct {
	Version int    `json:"version"`
	Name    string `json:"name"` // host/pid
}

// An AckSummary counts what the broker has acknowledged to one producer.
type AckSummary struct {
	Version  int    `json:"version"`
	Producer string `json:"producer"` // host/pid
	Started  int64  `json:"started"`  // milliseconds since 1970
	Acked
	Ended bool `json:"ended"` // it is the producer's last summary
}

// Acked counts what the broker has acknowledged to a publisher since its start.
type Acked struct {
	Rows     int64 `json:"rows"`
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"` // of the bodies, as sent

	Source string `json:"source"` // of the newest message
	Read   int64  `json:"read"`   // the last line of it that was given to the publisher
	Line   int64  `json:"line"`   // all lines of it that were given before are acknowledged up to here
}

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

// maxSummary bounds a summary in bytes. Any program with a producer's login may publish
// one.
var maxSummary = map[string]int{commitSummaries: 512 << 10, standbyNotices: 8 << 10, ackSummaries: 8 << 10}

// decodeSummary returns the summary in a message.
func decodeSummary(subject string, text []byte) (any, error) {
	if len(text) > maxSummary[subject] {
		return nil, fmt.Errorf("stream: a summary on %s has %d bytes, want %d at most", subject, len(text), maxSummary[subject])
	}
	var head struct{ Version int }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("stream: malformed summary on %s: %w", subject, err)
	}
	if head.Version != SummaryVersion {
		return nil, fmt.Errorf("stream: a summary of version %d on %s, want %d", head.Version, subject, SummaryVersion)
	}
	switch subject {
	case commitSummaries:
		return decodeAs[CommitSummary](subject, text)
	case standbyNotices:
		return decodeAs[StandbyNotice](subject, text)
	case ackSummaries:
		return decodeAs[AckSummary](subject, text)
	}
	return nil, fmt.Errorf("stream: an unknown summary on %s", subject)
}

func decodeAs[T any](subject string, text []byte) (any, error) {
	var summary T
	if err := json.Unmarshal(text, &summary); err != nil {
		return nil, fmt.Errorf("stream: malformed summary on %s: %w", subject, err)
	}
	return summary, nil
}

// A QueueState says what is in the stream. Messages that are stored are in it until
// they are purged, a few times a second.
type QueueState struct {
	Messages uint64
	Bytes    uint64
	MaxBytes int64
	Oldest   time.Duration // age of the oldest message, by the broker's clock; 0 if there is none

	FirstSequence, LastSequence uint64
}

// Queue asks the broker what is in the stream. A stream that does not exist yet is
// empty.
func (c *Conn) Queue(ctx context.Context) (QueueState, error) {
	s, err := c.lookUpStream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return QueueState{}, nil
	}
	if err != nil {
		return QueueState{}, wrap("look up stream "+Name, err)
	}
	info := s.CachedInfo()
	q := QueueState{Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes,
		FirstSequence: info.State.FirstSeq, LastSequence: info.State.LastSeq}
	if q.Messages > 0 && !info.TimeStamp.IsZero() {
		q.Oldest = max(0, info.TimeStamp.Sub(info.State.FirstTime))
	}
	return q, nil
}

// Queued returns how many messages of a source are in the stream. Messages that are
// stored are in it until they are purged, a few times a second.
func (c *Conn) Queued(ctx context.Context, source string) (messages uint64, err error) {
	s, err := c.lookUpStream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap("look up stream "+Name, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(Subject(source)))
	if err != nil {
		return 0, wrap("messages of "+source, err)
	}
	return info.State.Subjects[Subject(source)], nil
}
