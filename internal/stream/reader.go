package stream

// Reading: one reader, which has what it takes until it acknowledges it.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ReaderOptions say for whom is read.
type ReaderOptions struct {
	// DatabaseID is the id of the database the rows go to, Path where it is,
	// for people. The queue remembers both, and refuses another database.
	DatabaseID, Path string
	// Adopt takes over the queue of another database.
	Adopt bool
	// Batch is the most rows of a transaction: twice as many messages may be
	// in hand, for a message may have only one.
	Batch int
}

// A Reader takes messages off the queue, and removes from it what is
// acknowledged. Next is for one goroutine; the rest may be called from any.
type Reader struct {
	conn    *Conn
	options ReaderOptions
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex // guards all below
	stream   jetstream.Stream
	consumer jetstream.Consumer
	it       jetstream.MessagesContext
	epoch    int       // counts the consumers we have had
	created  time.Time // of the consumer
	purged   uint64    // all up to it is removed
	// acked are the acknowledgements, by sequence, that the queue has not been
	// seen to have: a broker that goes away takes some with it.
	acked map[uint64]string
	swallowed
}

const (
	ackWait       = 30 * time.Second
	pullExpiry    = 5 * time.Second
	heartbeat     = time.Second
	maxAckPending = 20_000
	// closeTimeout bounds how long handing back takes.
	closeTimeout = 500 * time.Millisecond
)

// Reader takes the queue over: what a reader before us had in hand and did not
// acknowledge is delivered again at once. So call it only while no other
// reads, that is, with the right to write in hand. It waits for the stream,
// and returns a [*DatabaseError] if the queue belongs to another database.
func (c *Conn) Reader(ctx context.Context, o ReaderOptions) (*Reader, error) {
	r := &Reader{conn: c, options: o, acked: map[uint64]string{}}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.open(ctx); err != nil {
		r.end()
		return nil, err
	}
	r.wg.Go(r.tidyNowAndThen)
	return r, nil
}

// Next waits for the next message, until ctx ends. Any other error ends the
// reader: what passes by itself is waited for.
func (r *Reader) Next(ctx context.Context) (*Delivery, error) {
	for {
		// Never with a time limit on one wait: with a short one the library
		// does not find out that the broker no longer knows us, and nothing
		// would ever come.
		wait, swallowed := r.waitCtx(ctx)
		if swallowed != nil {
			return swallowed, nil
		}
		m, err := r.it.Next(jetstream.NextContext(wait))
		woken := wait.Err() != nil
		r.poke() // the wait is over
		switch {
		case err == nil:
			return r.delivery(m)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case woken:
			continue
		}
		if err := r.mend(ctx, err); err != nil {
			return nil, err
		}
	}
}

// mend finds out why no message came, and sees to it that they come again.
func (r *Reader) mend(ctx context.Context, why error) error {
	if err := context.Cause(r.conn.broken); err != nil {
		return err
	}
	if errors.Is(why, jetstream.ErrNoHeartbeat) {
		// Not for long: until Next is called again, nothing is fetched.
		ask, cancel := context.WithTimeout(ctx, 2*heartbeat)
		defer cancel()
		_, err := r.consumer.Info(ask)
		if !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil // it goes on by itself, at the latest when the broker is back
		}
	}
	r.conn.log.Debug("reading anew", "because", why)
	r.it.Stop()
	if err := r.conn.pause(ctx, pollInterval); err != nil {
		return err
	}
	return r.open(ctx) // what had come and was not taken is delivered again
}

// Pending counts the messages that wait in the queue, and those delivered and
// not acknowledged yet. An acknowledgement takes a moment to be counted.
func (r *Reader) Pending(ctx context.Context) (queued, inHand uint64, err error) {
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

// Drained says whether all that the queue ever had is acknowledged. It may
// take a moment after the last acknowledgement to be true.
func (r *Reader) Drained(ctx context.Context) (bool, error) {
	queued, inHand, err := r.Pending(ctx)
	return err == nil && queued == 0 && inHand == 0, err
}

// Close hands back what was fetched and not taken, sends the acknowledgements
// given so far, and removes what is done from the queue. Next must have come
// to its end. What was taken can still be acknowledged, as long as the
// connection lives.
func (r *Reader) Close() error {
	r.end()
	r.wg.Wait()
	r.it.Drain()
	if !r.conn.nc.IsConnected() {
		return nil // the next reader takes over what we had
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := r.handBack(ctx); err != nil {
		if !r.conn.nc.IsConnected() {
			return nil
		}
		return fmt.Errorf("stream: close the reader: %w", err)
	}
	if _, err := r.tidy(ctx, false); err != nil {
		r.conn.log.Debug("purge", "error", err)
	}
	return nil
}

// handBack returns what is here to the queue. The next reader would find it
// there in any case, but --until-drained elsewhere would wait for [ackWait].
func (r *Reader) handBack(ctx context.Context) error {
	for {
		m, err := r.it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return r.conn.nc.FlushWithContext(ctx)
		}
		if err := m.Nak(); err != nil {
			return err
		}
	}
}

// open finds or makes the durable consumer, and starts to read from it.
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

// isTransient says whether an error may be gone when one tries again.
func isTransient(err error) bool {
	if _, ok := errors.AsType[*DatabaseError](err); ok {
		return false
	}
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return true // another was quicker; the next look shows whose it is
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
	it, err := consumer.Messages(jetstream.PullMaxBytes(windowBytes),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return wrap("read from consumer "+Durable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream, r.consumer, r.it, r.purged = s, consumer, it, 0
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

// durable returns the one consumer, made if it is not there.
func (r *Reader) durable(ctx context.Context, s jetstream.Stream) (_ jetstream.Consumer, existed bool, _ error) {
	want := jetstream.ConsumerConfig{
		Durable:       Durable,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // any limit would lose rows, and the counters would say that all is done
		MaxAckPending: max(maxAckPending, 2*r.options.Batch),
		Metadata:      map[string]string{databaseKey: r.options.DatabaseID, pathKey: r.options.Path},
	}
	there, err := s.Consumer(ctx, Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		made, err := s.CreateConsumer(ctx, want)
		return made, false, wrap("make consumer "+Durable, err)
	}
	if err != nil {
		return nil, false, wrap("look for consumer "+Durable, err)
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
