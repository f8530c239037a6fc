package stream

// Requests: rows that are not queued. The sender keeps them until they are confirmed,
// which happens after the commit.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"turnstile/internal/mta"
)

// maxPendingRequests bounds the memory of waiting requests. The library drops
// requests beyond it, and their senders retry.
const maxPendingRequests = 16 << 20 // bytes

// Requests receives requests for the owner of the stream's consumer.
type Requests struct {
	reader *Reader
	sub    *nats.Subscription
}

// Requests starts to receive requests.
func (r *Reader) Requests() (*Requests, error) {
	nc := r.conn.nc
	sub, err := nc.SubscribeSync(requestSubjects + ">")
	if err != nil {
		return nil, fmt.Errorf("stream: receive requests: %w", err)
	}
	if err := sub.SetPendingLimits(-1, maxPendingRequests); err != nil {
		return nil, fmt.Errorf("stream: receive requests: %w", err)
	}
	// The server must have the subscription before the caller announces that it
	// serves requests.
	if err := nc.FlushTimeout(apiTimeout); err != nil && nc.IsConnected() {
		return nil, fmt.Errorf("stream: receive requests: %w", err)
	}
	return &Requests{r, sub}, nil
}

// Next returns the next request, and waits for it until ctx ends.
func (q *Requests) Next(ctx context.Context) (*Delivery, error) {
	conn := q.reader.conn
	for {
		m, err := q.sub.NextMsgWithContext(ctx)
		switch {
		case err == nil:
			if d := request(conn, m); d != nil {
				return d, q.awaitOwner(ctx)
			}
		case errors.Is(err, nats.ErrNoResponders):
			conn.log.Warn("request dropped: it has no rows and looks like a status message of the server")
		case errors.Is(err, nats.ErrSlowConsumer):
			conn.log.Warn("too many waiting requests: some are dropped, and their senders retry", "error", err)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case conn.broken.Err() != nil:
			return nil, context.Cause(conn.broken)
		default:
			return nil, fmt.Errorf("stream: receive requests: %w", err)
		}
	}
}

// awaitOwner waits, after a reconnect, until this reader owns the consumer again.
// Until then another database may own it, and the request may be for that one.
func (q *Requests) awaitOwner(ctx context.Context) error {
	for !q.reader.owns() {
		if err := q.reader.conn.pause(ctx, pollInterval/10); err != nil {
			return err
		}
	}
	return nil
}

// Close stops receiving requests. Waiting requests get no response, and their senders
// retry.
func (q *Requests) Close() error {
	if q.reader.conn.nc.IsClosed() {
		return nil
	}
	return wrap("stop receiving requests", q.sub.Unsubscribe())
}

// A Requester stores rows without the queue. It is safe for concurrent use.
type Requester struct {
	conn  *Conn
	inbox string

	mu      sync.Mutex
	created int          // number of slots
	idle    []*replySlot // slots without a request in flight
}

// A replySlot is a reply subscription that one request uses at a time. The
// connection delivers responses directly to the waiting goroutine. Another goroutine
// in between would cost one more wake-up a row.
type replySlot struct {
	inbox   string // each request adds its own token
	answers chan *nats.Msg
	sub     *nats.Subscription
	resend  *time.Timer
	last    uint64 // token
}

// Requester returns a requester.
func (c *Conn) Requester() (*Requester, error) {
	q := &Requester{conn: c, inbox: confirmSubjects + nuid.Next() + "."}
	slot, err := q.takeSlot()
	if err != nil {
		return nil, err
	}
	q.releaseSlot(slot)
	return q, nil
}

// Close closes the requester. No request may be in flight.
func (q *Requester) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs error
	for _, slot := range q.idle {
		errs = errors.Join(errs, q.closeSlot(slot))
	}
	q.idle = nil
	return errs
}

// takeSlot returns an idle slot, or a new one.
func (q *Requester) takeSlot() (*replySlot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.idle) - 1; last >= 0 {
		slot := q.idle[last]
		q.idle = q.idle[:last]
		return slot, nil
	}
	q.created++
	slot := &replySlot{
		inbox: q.inbox + strconv.Itoa(q.created) + ".", answers: make(chan *nats.Msg, 16), resend: time.NewTimer(time.Hour),
	}
	slot.resend.Stop()
	var err error
	if slot.sub, err = q.conn.nc.ChanSubscribe(slot.inbox+"*", slot.answers); err != nil {
		return nil, fmt.Errorf("stream: subscribe to responses: %w", err)
	}
	return slot, nil
}

// releaseSlot makes a slot idle.
func (q *Requester) releaseSlot(slot *replySlot) {
	slot.resend.Stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.idle = append(q.idle, slot)
}

// closeSlot ends the subscription of a slot.
func (q *Requester) closeSlot(slot *replySlot) error {
	slot.resend.Stop()
	if q.conn.nc.IsClosed() {
		return nil
	}
	return wrap("unsubscribe from responses", slot.sub.Unsubscribe())
}

// ErrNoConsumer is returned by Store when no consumer serves requests.
var ErrNoConsumer = errors.New("no consumer serves requests")

// A request without a response is resent with exponential backoff, from minResend to
// maxResend.
const (
	minResend = 250 * time.Millisecond
	maxResend = 2 * time.Second
)

// Store sends the rows of a chunk to the consumer and returns after they are
// committed. It resends the request until a response arrives or ctx ends. After an
// error, the rows may or may not be stored. Resending them is safe.
func (q *Requester) Store(ctx context.Context, c mta.Chunk) (mta.Outcome, error) {
	m, err := encode(requestSubjects+subjectToken(c.Source), c)
	if err != nil {
		return mta.Outcome{}, err
	}
	answer, err := q.request(ctx, m)
	if err != nil {
		return mta.Outcome{}, fmt.Errorf("stream: store %s line %d: %w", c.Source, c.Line, err)
	}
	return decodeAnswer(answer)
}

// request resends a message until a response arrives. All attempts have the same
// reply subject, so a late response to an earlier attempt counts. Otherwise a round
// trip longer than the resend interval would never succeed.
func (q *Requester) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	slot, err := q.takeSlot()
	if err != nil {
		return nil, err
	}
	defer q.releaseSlot(slot)
	slot.last++
	m.Reply = slot.inbox + strconv.FormatUint(slot.last, 10)
	pause := minResend
	slot.resend.Reset(pause)
	publish := true
	for {
		if publish {
			if err := q.conn.nc.PublishMsg(m); isPermanent(err) {
				return nil, err
			}
			publish = false
		}
		select {
		case a := <-slot.answers:
			if a.Subject == m.Reply {
				return a, nil
			} // else it is a late response to an earlier request
		case <-slot.resend.C:
			pause = min(2*pause, maxResend)
			slot.resend.Reset(pause)
			publish = true
		case <-q.conn.broken.Done():
			return nil, context.Cause(q.conn.broken)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// decodeAnswer returns the outcome in a response, or the error that it carries.
func decodeAnswer(answer *nats.Msg) (mta.Outcome, error) {
	if len(answer.Data) == 0 && answer.Header.Get("Status") == noResponders {
		return mta.Outcome{}, ErrNoConsumer
	}
	var a struct {
		mta.Outcome
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return mta.Outcome{}, fmt.Errorf("stream: malformed response: %w", err)
	}
	if a.Error != "" {
		return mta.Outcome{}, fmt.Errorf("stream: request rejected: %s", a.Error)
	}
	return a.Outcome, nil
}
