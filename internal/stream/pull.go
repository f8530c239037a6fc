package stream

// The pull loop. The client library's own loop takes any message with an empty
// body and a Status header for a status of the server, and drops it. Anyone can
// publish such a message. It would never be acknowledged, so nothing behind it
// would be purged. This loop tells the two apart by the reply subject: a stored
// message is delivered with an ack subject, and a status has no reply.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	ackPrefix = "$JS.ACK."

	pullExpiry = 30 * time.Second
	heartbeat  = time.Second
	// silenceLimit is how long an open pull may bring neither a message nor a
	// heartbeat before the consumer is checked.
	silenceLimit = 5 * heartbeat / 2
	// pullMessages and windowBytes end a pull. Small messages would otherwise
	// fill the window by the hundred thousand.
	pullMessages = 1 << 16
)

var (
	// errPullBroken is returned by puller.next when the consumer must be looked
	// up again: it was deleted, or the server does not serve the pull.
	errPullBroken = errors.New("stream: the consumer does not deliver")
	// errDeliveryLost is returned by puller.next when messages may be lost on
	// their way: with a connection, or with a leader of a cluster.
	errDeliveryLost = errors.New("stream: a delivery is lost")
)

// A puller fetches the messages of one consumer. One pull is open at a time. It
// is for one goroutine.
type puller struct {
	conn    *Conn
	subject string // of the API call that pulls
	inbox   string // plus the number of the pull
	sub     *nats.Subscription
	ch      chan *nats.Msg

	// The open pull, counted as the server counts it.
	number   int
	messages int // 0: no pull is open
	bytes    int

	delivered uint64          // deliveries received; the consumer numbers them
	lost      <-chan struct{} // closed when the connection is lost
}

// newPuller reads from a consumer until the channel lost is closed.
func (c *Conn) newPuller(consumer string, lost <-chan struct{}) (*puller, error) {
	p := &puller{
		conn:    c,
		subject: fmt.Sprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", Name, consumer),
		inbox:   c.nc.NewInbox() + ".",
		lost:    lost,
		ch:      make(chan *nats.Msg, pullMessages+1024), // the open pull, and statuses,
	}
	var err error
	if p.sub, err = c.nc.ChanSubscribe(p.inbox+"*", p.ch); err != nil {
		return nil, fmt.Errorf("stream: read from consumer %s: %w", consumer, err)
	}
	return p, nil
}

// next returns the next message of the stream. It returns errPullBroken if the
// consumer may be gone, and the cause if ctx ends.
func (p *puller) next(ctx context.Context) (*nats.Msg, error) {
	silence := time.NewTimer(silenceLimit)
	defer silence.Stop()
	for {
		if err := p.pull(); err != nil {
			return nil, err
		}
		select {
		case m := <-p.ch:
			if isDelivery(m) {
				return m, p.count(m)
			}
			if err := p.status(m); err != nil {
				return nil, err
			}
			silence.Reset(silenceLimit)
		case <-p.lost:
			return nil, errDeliveryLost
		case <-silence.C:
			return nil, errPullBroken
		case <-p.conn.broken.Done():
			return nil, context.Cause(p.conn.broken)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// isDelivery reports whether m is a message of the stream and not a status.
func isDelivery(m *nats.Msg) bool { return strings.HasPrefix(m.Reply, ackPrefix) }

// pull opens a pull if none is open.
func (p *puller) pull() error {
	if p.messages > 0 {
		return nil
	}
	request, err := json.Marshal(map[string]any{
		"batch": pullMessages, "max_bytes": windowBytes, "expires": pullExpiry, "idle_heartbeat": heartbeat,
	})
	if err != nil {
		return fmt.Errorf("stream: pull: %w", err)
	}
	p.number++
	reply := fmt.Sprint(p.inbox, p.number)
	if err := p.conn.nc.PublishRequest(p.subject, reply, request); err != nil {
		p.conn.log.Debug("pull", "error", err)
		return errPullBroken
	}
	p.messages, p.bytes = pullMessages, windowBytes
	return nil
}

// count takes a message off the open pull. The server ends a pull without a
// status when exactly its messages or its bytes are used up.
func (p *puller) count(m *nats.Msg) error {
	p.messages--
	p.bytes -= m.Size()
	if p.bytes <= 0 {
		p.messages = 0
	}
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	p.delivered++
	if meta.Sequence.Consumer != p.delivered {
		return errDeliveryLost
	}
	return nil
}

// status takes note of a status of the server. A status that ends the open pull
// lets the next one be opened.
func (p *puller) status(m *nats.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	if code == "100" || m.Subject != fmt.Sprint(p.inbox, p.number) {
		return nil // a heartbeat, or the end of an earlier pull
	}
	p.messages = 0
	if code == "408" || code == "409" && text == "Message Size Exceeds MaxBytes" {
		return nil // expired, or used up
	}
	p.conn.log.Debug("the pull ended", "status", code, "description", text)
	return errPullBroken
}

// drain ends the subscription and returns the messages that have arrived.
func (p *puller) drain(ctx context.Context) ([]*nats.Msg, error) {
	if !p.sub.IsValid() {
		return nil, nil // stopped
	}
	// The subscription stays until all that the server has sent is here.
	if err := p.sub.Drain(); err != nil {
		return nil, err
	}
	if err := p.conn.nc.FlushWithContext(ctx); err != nil {
		return nil, err
	}
	var rest []*nats.Msg
	for {
		select {
		case m := <-p.ch:
			if isDelivery(m) {
				rest = append(rest, m)
			}
		default:
			return rest, nil
		}
	}
}

// stop ends the subscription. The stream redelivers what was not taken.
func (p *puller) stop() {
	if err := p.sub.Unsubscribe(); err != nil {
		p.conn.log.Debug("stop reading", "error", err)
	}
}
