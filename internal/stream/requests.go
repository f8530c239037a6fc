package stream

// Requests: rows that no queue keeps. The sender holds them until it hears
// that they are committed.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"turnstile/internal/mta"
)

// maxPendingRequests bounds the memory of requests that wait. Senders retry
// those that are dropped.
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
	// The server must know the subscription before the caller says that it
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
			conn.log.Warn("request refused: it has no rows, and the form of a status of the server")
		case errors.Is(err, nats.ErrSlowConsumer):
			conn.log.Warn("too many requests wait; some are dropped, and their senders retry", "error", err)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case conn.broken.Err() != nil:
			return nil, context.Cause(conn.broken)
		default:
			return nil, fmt.Errorf("stream: receive requests: %w", err)
		}
	}
}

// awaitOwner waits, after a reconnect, until the consumer is taken over again.
// Until then, another database may own it, and the request may belong there.
func (q *Requests) awaitOwner(ctx context.Context) error {
	for !q.reader.owns() {
		if err := q.reader.conn.pause(ctx, pollInterval/10); err != nil {
			return err
		}
	}
	return nil
}

// Close receives no further requests. Their senders get no answer and retry.
func (q *Requests) Close() error {
	if q.reader.conn.nc.IsClosed() {
		return nil
	}
	return wrap("stop receiving requests", q.sub.Unsubscribe())
}

// A Requester has rows stored without a queue. It is safe for concurrent use.
type Requester struct {
	conn  *Conn
	sub   *nats.Subscription
	inbox string

	mu      sync.Mutex
	last    uint64
	waiting map[string]chan *nats.Msg // by the last token of the reply subject
}

// Requester returns a requester.
func (c *Conn) Requester() (*Requester, error) {
	q := &Requester{conn: c, inbox: confirmSubjects + nuid.Next() + ".", waiting: map[string]chan *nats.Msg{}}
	sub, err := c.nc.Subscribe(q.inbox+"*", q.onAnswer)
	if err != nil {
		return nil, fmt.Errorf("stream: subscribe to answers: %w", err)
	}
	q.sub = sub
	return q, nil
}

// Close ends the requester.
func (q *Requester) Close() error {
	if q.conn.nc.IsClosed() {
		return nil
	}
	return wrap("unsubscribe from answers", q.sub.Unsubscribe())
}

func (q *Requester) onAnswer(m *nats.Msg) {
	token := strings.TrimPrefix(m.Subject, q.inbox)
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer, ok := q.waiting[token]; ok {
		delete(q.waiting, token)
		answer <- m
	}
}

// ErrNoConsumer is returned by Store when no consumer serves requests.
var ErrNoConsumer = errors.New("stream: no consumer serves requests")

// A request without an answer is resent after minResend, then after twice as
// long each time, up to maxResend.
const (
	minResend = 250 * time.Millisecond
	maxResend = 2 * time.Second
)

// Store has the rows of a chunk stored and returns once they are committed. It
// resends the request until an answer arrives or ctx ends. After an error the
// rows may or may not be stored, and may be sent again.
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

// request sends a message until an answer arrives. All attempts have the same
// reply subject, so a late answer to an earlier one counts. Otherwise a round
// trip longer than the pause between two attempts would never end.
func (q *Requester) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	answer := make(chan *nats.Msg, 1)
	q.mu.Lock()
	q.last++
	token := strconv.FormatUint(q.last, 10)
	q.waiting[token] = answer
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.waiting, token)
	}()
	m.Reply = q.inbox + token
	pause := minResend
	resend := time.NewTimer(pause)
	defer resend.Stop()
	for {
		if err := q.conn.nc.PublishMsg(m); isPermanent(err) {
			return nil, err
		}
		select {
		case a := <-answer:
			return a, nil
		case <-resend.C:
			pause = min(2*pause, maxResend)
			resend.Reset(pause)
		case <-q.conn.broken.Done():
			return nil, context.Cause(q.conn.broken)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func decodeAnswer(answer *nats.Msg) (mta.Outcome, error) {
	if len(answer.Data) == 0 && answer.Header.Get("Status") == noResponders {
		return mta.Outcome{}, ErrNoConsumer
	}
	var a struct {
		mta.Outcome
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return mta.Outcome{}, fmt.Errorf("stream: unreadable answer: %w", err)
	}
	if a.Error != "" {
		return mta.Outcome{}, fmt.Errorf("stream: refused: %s", a.Error)
	}
	return a.Outcome, nil
}
