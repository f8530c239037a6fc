package stream

// Reading: one reader at a time has the stream's consumer.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ReaderOptions say for which database the reader reads.
type ReaderOptions struct {
	// DatabaseID is the id of the database that stores the rows. Path is where
	// it is, for people. The consumer's metadata has both, and a reader for
	// another database is refused.
	DatabaseID, Path string
	// Adopt takes over the consumer of another database.
	Adopt bool
	// Batch is the row limit of a transaction. A message may hold a single
	// row, so twice as many messages may be unacknowledged.
	Batch int
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
	puller  *puller // used by Next and, after it, by Close

	mu       sync.Mutex // guards all below
	stream   jetstream.Stream
	consumer jetstream.Consumer
	epoch    int       // counts the consumers that this reader has had
	created  time.Time // of the consumer
	purged   uint64    // the stream is purged up to this sequence
	// acked holds the ack subjects, by sequence, of the acknowledgements that
	// the server may not have. A lost connection takes some with it.
	acked map[uint64]string
}

const (
	ackWait       = 30 * time.Second
	maxAckPending = 20_000
	closeTimeout  = 800 * time.Millisecond
)

// Reader takes over the stream's consumer. The server redelivers at once what
// an earlier reader did not acknowledge. So the caller must hold the writer
// lock of the database. Reader waits for the stream. It returns a
// [*DatabaseError] if the consumer belongs to another database.
func (c *Conn) Reader(ctx context.Context, o ReaderOptions) (*Reader, error) {
	r := &Reader{conn: c, options: o, acked: map[uint64]string{}}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.open(ctx); err != nil {
		r.end()
		return nil, err
	}
	r.wg.Go(r.purgeLoop)
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
		case !errors.Is(err, errPullBroken):
			return nil, err
		}
		if err := r.recover(ctx); err != nil {
			return nil, err
		}
	}
}

// recover waits for the broker, and opens the consumer again if it is gone.
func (r *Reader) recover(ctx context.Context) error {
	for !r.conn.nc.IsConnected() {
		if err := r.conn.pause(ctx, pollInterval); err != nil {
			return err
		}
	}
	r.puller.messages = 0 // its pull is lost; the next one is new
	ask, cancel := context.WithTimeout(ctx, 2*heartbeat)
	defer cancel()
	_, err := r.consumer.Info(ask)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		if err != nil {
			r.conn.log.Debug("look up the consumer", "error", err)
		}
		return r.conn.pause(ctx, pollInterval)
	}
	r.conn.log.Debug("open the consumer again", "because", err)
	r.puller.stop()
	return r.open(ctx)
}

// Pending counts the messages that are not delivered yet, and those delivered
// and not acknowledged. An acknowledgement takes a moment to be counted.
func (r *Reader) Pending(ctx context.Context) (queued, unacknowledged uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	r.mu.Lock()
	consumer := r.consumer
	r.mu.Unlock()
	info, err := consumer.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("stream: pending: %w", err)
	}
	return info.NumPending, uint64(info.NumAckPending), nil
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
	if !r.conn.nc.IsConnected() {
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
	if _, err := r.purge(ctx, false); err != nil {
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

// open finds or creates the durable consumer, and starts to read from it.
func (r *Reader) open(ctx context.Context) error {
	for {
		s, err := r.conn.Stream(ctx)
		if err != nil {
			return err
		}
		err = r.start(ctx, s)
		if err == nil || ctx.Err() != nil || !isTransient(err) {
			return err
		}
		r.conn.log.Debug("open the reader", "error", err)
		if err := r.conn.pause(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// isTransient reports whether a retry may succeed.
func isTransient(err error) bool {
	if _, ok := errors.AsType[*DatabaseError](err); ok {
		return false
	}
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return true // another reader created it first; the next look shows whose it is
	}
	e, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || e.Code == 404 || e.Code == 503
}

func (r *Reader) start(ctx context.Context, s jetstream.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, existed, err := r.durable(ctx, s)
	if err != nil {
		return err
	}
	if existed {
		if _, err := s.ResetConsumer(ctx, Durable); err != nil {
			return wrap("take over consumer "+Durable, err)
		}
	}
	p, err := r.conn.newPuller(Durable)
	if err != nil {
		return err
	}
	r.puller = p
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream, r.consumer, r.purged = s, consumer, 0
	r.created = consumer.CachedInfo().Created
	if !existed {
		r.epoch++
		clear(r.acked)
	}
	return nil
}

const (
	databaseKey = "turnstile-database"
	pathKey     = "turnstile-path"
)

// durable returns the consumer, and creates it if it does not exist.
func (r *Reader) durable(ctx context.Context, s jetstream.Stream) (_ jetstream.Consumer, existed bool, _ error) {
	want := jetstream.ConsumerConfig{
		Durable:       Durable,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // a limit would lose rows, and the counters would still reach zero
		MaxAckPending: max(maxAckPending, 2*r.options.Batch),
		Metadata:      map[string]string{databaseKey: r.options.DatabaseID, pathKey: r.options.Path},
	}
	there, err := s.Consumer(ctx, Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		made, err := s.CreateConsumer(ctx, want)
		return made, false, wrap("create consumer "+Durable, err)
	}
	if err != nil {
		return nil, false, wrap("look up consumer "+Durable, err)
	}
	has := there.CachedInfo().Config
	id, path := has.Metadata[databaseKey], has.Metadata[pathKey]
	if (id != r.options.DatabaseID || path != r.options.Path) && !r.options.Adopt {
		return nil, false, &DatabaseError{id, path, id == r.options.DatabaseID}
	}
	if has.Metadata[databaseKey] == want.Metadata[databaseKey] && has.Metadata[pathKey] == want.Metadata[pathKey] &&
		has.MaxAckPending == want.MaxAckPending && has.AckWait == want.AckWait && has.MaxDeliver == want.MaxDeliver {
		return there, true, nil
	}
	changed, err := s.UpdateConsumer(ctx, want)
	return changed, true, wrap("change consumer "+Durable, err)
}
