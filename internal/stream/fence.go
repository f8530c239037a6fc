package stream

// The fence: the stream has one consumer, and one database owns it. The writer
// lock of a database can't see a copy of the database on another machine. Two
// copies that both read would split the rows between them. So a takeover
//
//   - asks whether a writer of the same database is alive: two copies have one
//     database id;
//   - compares the stream's ack floor with the mark of the database. A database
//     that is behind the floor lacks rows: it is an old copy or a restored
//     backup;
//   - creates the next generation of the consumer, by a request that fails if
//     it exists, and deletes the earlier ones. Of several rivals the highest
//     generation wins. Acknowledgements of an earlier owner then go nowhere.
//
// ARCHITECTURE names what remains possible.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"turnstile/internal/mta"
)

// A Database is the database that stores the rows.
type Database interface {
	ID() string
	Path() string
	// Mark returns the position in a stream up to which rows are stored.
	Mark(context.Context) (mta.Mark, error)
	SetMark(context.Context, mta.Mark) error
}

const (
	// consumerPrefix and a number are the name of a generation. Generation 0 is
	// the consumer of earlier versions, without a number.
	consumerPrefix = "writer"
	writerSubjects = "turnstile.writer." // then the database id: asks for its live writer

	databaseKey = "turnstile-database"
	pathKey     = "turnstile-path"
	ownerKey    = "turnstile-owner" // differs for each takeover

	// liveTimeout is how long a live writer may take to answer.
	liveTimeout = time.Second
)

func consumerName(generation int) string {
	if generation == 0 {
		return consumerPrefix
	}
	return fmt.Sprint(consumerPrefix, "-", generation)
}

// generationOf is the inverse of consumerName.
func generationOf(name string) (generation int, ok bool) {
	number, ok := strings.CutPrefix(name, consumerPrefix)
	if !ok || number == "" {
		return 0, ok
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(number, "-"), 10, 32) // of the largest int there would be no next one
	generation = int(n)
	return generation, err == nil && generation > 0 && consumerName(generation) == name
}

// open takes the consumer over, and retries until ctx ends or the error is
// permanent.
func (r *Reader) open(ctx context.Context) error {
	trouble := notice{log: r.conn.log, after: time.Second}
	for attempt := 0; ; attempt++ {
		r.patience = lookupTimeout(attempt)
		s, err := r.conn.Stream(ctx)
		if err != nil {
			return err
		}
		lost, connection := r.conn.connectionLost(), r.conn.nc.Stats().Reconnects
		var consumer jetstream.Consumer
		if err = r.askForWriter(ctx); err == nil {
			consumer, err = r.takeOver(ctx, s)
		}
		if err == nil {
			err = r.start(s, consumer, connection, lost)
		}
		if err == nil {
			trouble.end("the queue can be taken over")
			return nil
		}
		if ctx.Err() != nil || !isTransient(err) {
			return err
		}
		r.conn.log.Debug("take over the consumer", "error", err)
		trouble.begin("cannot take over the queue, retrying", "error", err)
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
	if _, ok := errors.AsType[*LiveCopyError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*StaleError](err); ok {
		return false
	}
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return true // a rival was faster; the next attempt finds out whose it is
	}
	e, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || e.Code == 404 || e.Code >= 500 // a full disk of the broker is a 500
}

// takeOver makes this reader the owner of the stream's consumer.
func (r *Reader) takeOver(ctx context.Context, s jetstream.Stream) (jetstream.Consumer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.conn.broken, cancel)()
	info := func(ctx context.Context) (*jetstream.StreamInfo, error) { return s.Info(ctx) }
	if _, err := lookUp(ctx, r.patience, info); err != nil { // askForWriter may have waited
		return nil, wrap("look up stream "+Name, err)
	}
	list := func(ctx context.Context) ([]int, error) { return listGenerations(ctx, s) }
	generations, err := lookUp(ctx, r.patience, list)
	if err != nil {
		return nil, err
	}
	floor, err := r.checkOwner(ctx, s, generations)
	if err != nil {
		return nil, err
	}
	r.generation = 1 + max(r.generation, slices.Max(append(generations, 0)))
	consumer, err := s.CreateConsumer(ctx, r.consumerConfig(nuid.Next(), floor))
	if err != nil {
		return nil, wrap("create consumer "+consumerName(r.generation), err)
	}
	// Rivals may have created generations since the first list, and have deleted
	// the one whose name this one has now.
	if generations, err = lookUp(ctx, r.patience, list); err != nil {
		return nil, err
	}
	if newest := slices.Max(append(generations, 0)); newest > r.generation {
		err := deleteGeneration(ctx, s, r.generation)
		return nil, errors.Join(err, fmt.Errorf("stream: consumer %s was created meanwhile", consumerName(newest)))
	}
	for _, g := range generations {
		if g < r.generation {
			if err := deleteGeneration(ctx, s, g); err != nil {
				return nil, err
			}
		}
	}
	// Until it was deleted, an earlier owner may have purged what it stored.
	now, err := lookUp(ctx, r.patience, info)
	if err != nil {
		return nil, wrap("look up stream "+Name, err)
	}
	if purged := purgedUpTo(now); purged > floor {
		return nil, &StaleError{Acknowledged: purged, Stored: floor}
	}
	return consumer, nil
}

func purgedUpTo(info *jetstream.StreamInfo) uint64 { return max(info.State.FirstSeq, 1) - 1 }

func (r *Reader) consumerConfig(owner string, floor uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       consumerName(r.generation),
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   floor + 1,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // a limit would lose rows, and the counters would still reach zero
		MaxAckPending: max(maxAckPending, 2*r.options.Batch),
		Metadata: map[string]string{
			databaseKey: r.options.Database.ID(), pathKey: r.options.Database.Path(), ownerKey: owner,
		},
	}
}

// listGenerations returns the generations of the consumer that exist: normally
// one, and two after an interrupted takeover.
func listGenerations(ctx context.Context, s jetstream.Stream) (generations []int, err error) {
	names := s.ConsumerNames(ctx)
	for name := range names.Name() {
		if g, ok := generationOf(name); ok {
			generations = append(generations, g)
		}
	}
	return generations, wrap("list consumers", names.Err())
}

func deleteGeneration(ctx context.Context, s jetstream.Stream, generation int) error {
	err := s.DeleteConsumer(ctx, consumerName(generation))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return wrap("delete consumer "+consumerName(generation), err)
}

// checkOwner returns the sequence up to which the stream's messages are
// acknowledged. It returns an error if this database may not take over.
func (r *Reader) checkOwner(ctx context.Context, s jetstream.Stream, generations []int) (floor uint64, err error) {
	adopt := r.options.Adopt && !r.started
	floor = purgedUpTo(s.CachedInfo()) // only acknowledged messages are purged
	newest := -1
	if len(generations) > 0 {
		newest = slices.Max(generations)
		consumer, err := lookUp(ctx, r.patience, func(ctx context.Context) (jetstream.Consumer, error) {
			return s.Consumer(ctx, consumerName(newest))
		})
		if err != nil {
			return 0, wrap("look up consumer "+consumerName(newest), err)
		}
		info := consumer.CachedInfo()
		// After a power cut the stream may have lost its last messages.
		floor = max(floor, min(info.AckFloor.Stream, s.CachedInfo().State.LastSeq))
		metadata := info.Config.Metadata
		id, path := metadata[databaseKey], metadata[pathKey]
		if same := id == r.options.Database.ID(); (!same || path != r.options.Database.Path()) && !adopt {
			return 0, &DatabaseError{Database: id, Path: path, Copy: same}
		}
	}
	mark, stored := r.mark(), uint64(0)
	if mark.Stream == streamID(s) {
		stored = mark.Sequence
	}
	if floor <= stored {
		return floor, nil
	}
	// Without a consumer, nobody knows which database has the purged rows.
	unknown := newest < 0 && mark.Stream != streamID(s)
	// Earlier versions kept no mark.
	upgrade := newest == 0 && mark == mta.Mark{}
	if r.started || !adopt && !unknown && !upgrade {
		return 0, &StaleError{Acknowledged: floor, Stored: stored}
	}
	// From here on the database counts as having these messages. The mark must
	// be on disk before the consumer is created: after a crash in between, this
	// database would be refused.
	mark = mta.Mark{Stream: streamID(s), Sequence: floor}
	if err := r.options.Database.SetMark(ctx, mark); err != nil {
		return 0, err
	}
	r.setMark(mark)
	return floor, nil
}

// streamID tells a stream from one that was created later under its name.
func streamID(s jetstream.Stream) string {
	return s.CachedInfo().Created.UTC().Format(time.RFC3339Nano)
}

// start begins to read from the new consumer. If the connection was lost since
// it was taken over, the puller notices.
func (r *Reader) start(s jetstream.Stream, consumer jetstream.Consumer, connection uint64, lost <-chan struct{}) error {
	if err := r.answerForDatabase(); err != nil {
		return err
	}
	p, err := r.conn.newPuller(consumer.CachedInfo().Name, lost)
	if err != nil {
		return err
	}
	r.puller, r.started = p, true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream, r.consumer, r.streamID, r.connection, r.purged = s, consumer, streamID(s), connection, 0
	return nil
}

// A liveWriter is what a writer answers when asked who writes to a database.
type liveWriter struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Path string `json:"path"`
}

// answerForDatabase answers those who ask for a live writer of this database.
func (r *Reader) answerForDatabase() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	answer, err := json.Marshal(liveWriter{host, os.Getpid(), r.options.Database.Path()})
	if err != nil {
		return err
	}
	r.alive, err = r.conn.nc.Subscribe(r.writerSubject(), func(m *nats.Msg) {
		if !isConfirmSubject(m.Reply) {
			return
		}
		if err := r.conn.nc.Publish(m.Reply, answer); err != nil {
			r.conn.log.Debug("answer for the database", "error", err)
		}
	})
	if err == nil {
		err = r.conn.nc.FlushTimeout(apiTimeout) // the server must know it before anything is stored
	}
	return wrap("answer for the database", err)
}

func (r *Reader) writerSubject() string {
	return writerSubjects + subjectToken(r.options.Database.ID())
}

// stopAnswering makes way for a question of our own: see askForWriter.
func (r *Reader) stopAnswering() {
	if r.alive != nil && !r.conn.nc.IsClosed() {
		if err := r.alive.Unsubscribe(); err != nil {
			r.conn.log.Debug("stop answering for the database", "error", err)
		}
	}
	r.alive = nil
}

// askForWriter returns a [*LiveCopyError] if another process writes to a copy
// of this database. A process that is stopped does not answer, and may go on at
// any moment: askForWriter waits until the broker has dropped its connection.
func (r *Reader) askForWriter(ctx context.Context) error {
	if r.options.manual {
		return nil
	}
	r.stopAnswering()
	inbox := confirmSubjects + nuid.Next()
	sub, err := r.conn.nc.SubscribeSync(inbox)
	if err != nil {
		return wrap("ask for a live writer", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails only with the connection
	hung := notice{log: r.conn.log}
	for {
		if err := r.conn.nc.PublishRequest(r.writerSubject(), inbox, nil); err != nil {
			return wrap("ask for a live writer", err)
		}
		m, err := r.nextAnswer(ctx, sub)
		switch {
		case err == nil:
			var w liveWriter
			if err := json.Unmarshal(m.Data, &w); err != nil {
				return fmt.Errorf("stream: the answer of a live writer: %w", err)
			}
			return &LiveCopyError{Host: w.Host, PID: w.PID, Path: w.Path}
		case errors.Is(err, nats.ErrNoResponders):
			hung.end("the other writer's connection is gone")
			return nil
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || !r.conn.nc.IsConnected():
			return wrap("ask for a live writer", err)
		}
		hung.begin("a writer of a copy of this database is connected and does not answer; waiting until the broker drops it")
	}
}

func (r *Reader) nextAnswer(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	defer context.AfterFunc(r.conn.broken, cancel)()
	m, err := sub.NextMsgWithContext(ctx)
	if cause := context.Cause(r.conn.broken); cause != nil && err != nil {
		return nil, cause
	}
	return m, err
}
