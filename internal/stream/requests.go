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

// Requests are served by the one that has the right to write.
type Requests struct {
	conn *Conn
	sub  *nats.Subscription
}

// Requests starts to take requests.
func (c *Conn) Requests() (*Requests, error) {
	sub, err := c.nc.SubscribeSync(requestSubjects + ">")
	if err != nil {
		return nil, fmt.Errorf("stream: take requests: %w", err)
	}
	// The server must know of it before anyone is told that we take requests.
	if err := c.nc.FlushTimeout(apiTimeout); err != nil && c.nc.IsConnected() {
		return nil, fmt.Errorf("stream: take requests: %w", err)
	}
	return &Requests{c, sub}, nil
}

// Next waits for the next request, until ctx ends.
func (q *Requests) Next(ctx context.Context) (*Delivery, error) {
	for {
		m, err := q.sub.NextMsgWithContext(ctx)
		switch {
		case err == nil:
			if d := request(q.conn, m); d != nil {
				return d, nil
			}
		case errors.Is(err, nats.ErrNoResponders):
			q.conn.log.Warn("a request made up as an answer of the broker is not served")
		case errors.Is(err, nats.ErrSlowConsumer):
			q.conn.log.Warn("more requests than can be kept, some are dropped", "error", err)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case q.conn.broken.Err() != nil:
			return nil, context.Cause(q.conn.broken)
		default:
			return nil, fmt.Errorf("stream: take requests: %w", err)
		}
	}
}

// Close takes no further requests. Who gets no answer asks again.
func (q *Requests) Close() error {
	if q.conn.nc.IsClosed() {
		return nil
	}
	return wrap("stop taking requests", q.sub.Unsubscribe())
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
