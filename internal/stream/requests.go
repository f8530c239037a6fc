package stream

// Requests: rows that no queue keeps. The sender holds them until it hears
// that they are committed.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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

// A Requester asks for rows to be stored now. It is safe for concurrent use.
type Requester struct {
	conn  *Conn
	sub   *nats.Subscription
	inbox string
	last  atomic.Uint64

	mu   sync.Mutex
	open map[string]chan *nats.Msg // by the last token of the reply subject
}

// Requester makes a requester.
func (c *Conn) Requester() (*Requester, error) {
	q := &Requester{conn: c, inbox: confirmSubjects + nuid.Next() + ".", open: map[string]chan *nats.Msg{}}
	sub, err := c.nc.Subscribe(q.inbox+"*", q.answered)
	if err != nil {
		return nil, fmt.Errorf("stream: hear answers: %w", err)
	}
	q.sub = sub
	return q, nil
}

// Close ends the requester.
func (q *Requester) Close() error {
	if q.conn.nc.IsClosed() {
		return nil
	}
	return wrap("stop hearing answers", q.sub.Unsubscribe())
}

func (q *Requester) answered(m *nats.Msg) {
	q.mu.Lock()
	defer q.mu.Unlock()
	token := strings.TrimPrefix(m.Subject, q.inbox)
	if ch, ok := q.open[token]; ok {
		delete(q.open, token)
		ch <- m
	}
}

// ErrNoConsumer is returned by Store when nobody serves requests.
var ErrNoConsumer = errors.New("stream: no consumer serves requests")

const askAgain = 250 * time.Millisecond

// Store has a chunk stored, and returns when it is committed. If no answer
// comes it asks again, until ctx ends: the rows may then be stored or not, and
// may be sent again.
func (q *Requester) Store(ctx context.Context, c mta.Chunk) (mta.Outcome, error) {
	m, err := encode(requestSubjects+subjectToken(c.Source), c)
	if err != nil {
		return mta.Outcome{}, err
	}
	for {
		answer, err := q.ask(ctx, m)
		switch {
		case err == nil && answer == nil:
			continue
		case err != nil:
			return mta.Outcome{}, fmt.Errorf("stream: store %s line %d: %w", c.Source, c.Line, err)
		}
		return outcome(answer)
	}
}

// ask asks once. Both results are nil if no answer came in time.
func (q *Requester) ask(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	token, ch := fmt.Sprint(q.last.Add(1)), make(chan *nats.Msg, 1)
	m.Reply = q.inbox + token
	q.mu.Lock()
	q.open[token] = ch
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.open, token)
	}()
	if err := q.conn.nc.PublishMsg(m); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		return nil, err
	}
	late := time.NewTimer(askAgain)
	defer late.Stop()
	select {
	case answer := <-ch:
		return answer, nil
	case <-late.C:
		return nil, nil
	case <-q.conn.broken.Done():
		return nil, context.Cause(q.conn.broken)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func outcome(answer *nats.Msg) (mta.Outcome, error) {
	if len(answer.Data) == 0 && answer.Header.Get("Status") == noResponders {
		return mta.Outcome{}, ErrNoConsumer
	}
	var a struct {
		mta.Outcome
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return mta.Outcome{}, fmt.Errorf("stream: an answer that can't be read: %w", err)
	}
	if a.Error != "" {
		return mta.Outcome{}, fmt.Errorf("stream: refused: %s", a.Error)
	}
	return a.Outcome, nil
}
