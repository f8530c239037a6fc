package stream

// Reading: one reader at a time has the stream's consumer.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

// ReaderOptions say for which database the reader reads.
type ReaderOptions struct {
	Database Database
	// Adopt takes over the consumer of another database, or for a database that
	// lacks acknowledged rows.
	Adopt bool
	// Batch is the row limit of a transaction. A message may hold a single
	// row, so twice as many messages may be unacknowledged.
	Batch int

	manual bool // for tests: asks for no live writer, and purges only when told
}

// A Reader receives messages of the stream and purges those that are
// acknowledged. Next is for one goroutine. The other methods are safe for
// concurrent use.
type Reader struct {
	conn    *Conn
	options ReaderOptions
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	wg      sync.WaitGroup

	// For the goroutine that calls Next and, after it, Close.
	puller     *puller
	alive      *nats.Subscription // to questions for a live writer
	generation int                // of the consumer; it only grows, also on a new stream
	started    bool               // messages may have been returned by Next
	patience   time.Duration      // for each question of a takeover

	mu         sync.Mutex // guards all below
	stream     jetstream.Stream
	consumer   jetstream.Consumer
	streamID   string
	connection uint64   // the number of the connection on which the consumer was taken over
	stored     mta.Mark // all messages up to it are stored in the database
	purged     uint64   // the stream is purged up to this sequence
}

const (
	ackWait       = 30 * time.Second
	maxAckPending = 20_000
	closeTimeout  = 800 * time.Millisecond
)

// Reader takes over the stream's consumer. The server redelivers at once what
// an earlier reader did not acknowledge. The caller must hold the writer lock
// of the database. Reader waits for the stream. It returns a [*DatabaseError],
// a [*LiveCopyError] or a [*StaleError] if this database may not take over.
func (c *Conn) Reader(ctx context.Context, o ReaderOptions) (*Reader, error) {
	mark, err := o.Database.Mark(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reader{conn: c, options: o, stored: mark}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.open(ctx); err != nil {
		r.end()
		r.stopAnswering()
		return nil, err
	}
	if !o.manual {
		r.wg.Go(r.purgeLoop)
	}
	return r, nil
}

// Next returns the next message, and waits for it until ctx ends. It waits
// while the broker is away. Any other error ends the reader.
func (r *Reader) Next(ctx context.Context) (*Delivery, error) {
	for {
		m, err := r.puller.next(ctx)
		switch {
		case err == nil:
			return r.delivery(m)
		case errors.Is(err, errPullBroken):
			err = r.checkConsumer(ctx)
		case errors.Is(err, errDeliveryLost):
			err = r.reopen(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// checkConsumer finds out why a pull brings nothing. If the consumer is gone, it
// is taken over again.
func (r *Reader) checkConsumer(ctx context.Context) error {
	r.puller.messages = 0 // its pull is lost; the next one is new
	ask, cancel := context.WithTimeout(ctx, 2*heartbeat)
	defer cancel()
	_, err := r.consumer.Info(ask)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return r.reopen(ctx)
	}
	if err != nil {
		r.conn.log.Debug("look up the consumer", "error", err)
	}
	return r.conn.pause(ctx, pollInterval)
}

// reopen takes the consumer over again once the broker is back. All that is not
// acknowledged is redelivered, in order. The mark depends on that order: a
// message that was lost on the way must not come after later ones.
func (r *Reader) reopen(ctx context.Context) error {
	r.puller.stop()
	for !r.conn.nc.IsConnected() {
		if err := r.conn.pause(ctx, pollInterval); err != nil {
			return err
		}
	}
	return r.open(ctx)
}

// mark returns the position up to which the database has all rows.
func (r *Reader) mark() mta.Mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stored
}

func (r *Reader) setMark(m mta.Mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Stream != r.stored.Stream || m.Sequence > r.stored.Sequence {
		r.stored = m
	}
}

// owns reports whether the consumer was taken over on the present connection.
// After a reconnect another process may own it.
func (r *Reader) owns() bool {
	n := r.conn.nc.Stats().Reconnects
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.connection == n
}

// Pending counts the messages that are not delivered yet, and those delivered
// and not acknowledged. An acknowledgement takes a moment to be counted.
func (r *Reader) Pending(ctx context.Context) (queued, unacknowledged uint64, err error) {
	s, err := r.State(ctx)
	return s.Pending, s.Unacknowledged, err
}

// A ReaderState says what the broker knows of the reader.
type ReaderState struct {
	Consumer       string // its name at the broker
	Pending        uint64 // messages that are not delivered yet
	Unacknowledged uint64 // delivered and not acknowledged
	Redelivered    uint64 // of these, delivered more than once
	AckFloor       uint64 // the sequence of the stream up to which all is acknowledged
}

// State asks the broker for the state of the reader.
func (r *Reader) State(ctx context.Context) (ReaderState, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	r.mu.Lock()
	consumer := r.consumer
	r.mu.Unlock()
	info, err := consumer.Info(ctx)
	if err != nil {
		return ReaderState{}, fmt.Errorf("stream: state of the reader: %w", err)
	}
	return ReaderState{info.Name, info.NumPending, uint64(info.NumAckPending), uint64(info.NumRedelivered), info.AckFloor.Stream}, nil
}

// Drained reports whether all messages of the stream are acknowledged. It may
// take a moment after the last acknowledgement to become true.
func (r *Reader) Drained(ctx context.Context) (bool, error) {
	queued, unacknowledged, err := r.Pending(ctx)
	return err == nil && queued == 0 && unacknowledged == 0, err
}

// Close sends the pending acknowledgements, naks what was fetched and not
// returned by Next, and purges what is acknowledged. Next must have returned. A
// delivery that Next returned can still be acknowledged while the connection
// lives.
func (r *Reader) Close() error {
	r.end()
	r.wg.Wait()
	r.stopAnswering()
	if !r.conn.nc.IsConnected() || !r.owns() {
		return nil // the next reader takes over what this one had
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := r.nakFetched(ctx); err != nil {
		if r.conn.nc.IsConnected() {
			r.conn.log.Warn("the broker does not answer; it redelivers fetched messages to the next consumer", "error", err)
		}
		return nil
	}
	if err := r.purge(ctx); err != nil {
		r.conn.log.Debug("purge", "error", err)
	}
	return nil
}

// nakFetched returns the fetched messages to the stream. A takeover would have
// them redelivered in any case. But a --until-drained elsewhere would wait for
// ackWait.
func (r *Reader) nakFetched(ctx context.Context) error {
	rest, err := r.puller.drain(ctx)
	if err != nil {
		return err
	}
	for _, m := range rest {
		if err := r.conn.nc.Publish(m.Reply, nak); err != nil {
			return err
		}
	}
	return r.conn.nc.FlushWithContext(ctx)
}
