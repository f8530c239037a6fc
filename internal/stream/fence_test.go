package stream

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/mta"
)

// copyDatabase returns a copy of a database as a backup has it: the same id, and
// the mark of this moment.
func copyDatabase(d *testDatabase) *testDatabase {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &testDatabase{id: d.id, path: d.path, mark: d.mark}
}

// openFor takes over for a database.
func openFor(t *testing.T, c *Conn, d *testDatabase, o ReaderOptions) (*Reader, error) {
	t.Helper()
	o.Database = d
	return c.Reader(t.Context(), o)
}

// storeNext stores and acknowledges the next n messages, and waits until the broker
// has counted that.
func storeNext(t *testing.T, r *Reader, d *testDatabase, n int) {
	t.Helper()
	for range n {
		m := next(t, r)
		if err := errors.Join(d.SetMark(t.Context(), m.Mark()), m.Ack()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the broker has the acknowledgements", func() bool {
		state, err := r.State(t.Context())
		return err == nil && state.AckFloor >= d.mark.Sequence
	})
}

func closeReader(t *testing.T, r *Reader) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two copies of a database would split the rows. Whoever comes second is told
// where the first one is.
func TestCopyBesideALiveWriter(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	other, _ := connect(t, b)
	d := &testDatabase{id: "db1", path: "/data/rides.db"}
	r, err := openFor(t, c, d, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = openFor(t, other, copyDatabase(d), ReaderOptions{Adopt: true})
	if e, ok := errors.AsType[*LiveCopyError](err); !ok || e.Path != "/data/rides.db" || e.PID == 0 || e.Host == "" {
		t.Fatalf("a copy reads beside the original: %v", err)
	}
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 3)
	storeNext(t, r, d, 2) // it goes on
	closeReader(t, r)
	r, err = openFor(t, other, copyDatabase(d), ReaderOptions{})
	if err != nil {
		t.Fatalf("a copy that has all rows may follow: %v", err)
	}
	closeReader(t, r)
}

// A writer that is stopped does not answer, and may go on at any moment. So a
// copy waits until the broker has dropped its connection.
func TestCopyBesideAStoppedWriter(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 64<<20)
	x := startProxy(t, b)
	stopped, err := Connect(t.Context(), Config{Servers: x.url, Role: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopped.nc.Close)
	d := &testDatabase{id: "db1", path: "/db1"}
	if _, err := openFor(t, stopped, d, ReaderOptions{manual: true}); err != nil {
		t.Fatal(err)
	}
	c, log := connect(t, b)
	x.mode.Store(discard)
	start := time.Now()
	r, err := openFor(t, c, copyDatabase(d), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < liveTimeout {
		t.Errorf("took over after %s, while the other was still connected", took)
	}
	if log.count("does not answer") != 1 || log.count("connection is gone") != 1 {
		t.Error("not said once that it waits, and once that it is over")
	}
	closeReader(t, r)
}

// Of several copies that start at once, one reads. The others are told so.
func TestCopiesStartAtOnce(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	const copies = 4
	d := &testDatabase{id: "db1", path: "/db1"}
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	refused := make(chan error, copies)
	for range copies {
		c, _ := connect(t, b)
		wg.Go(func() {
			r, err := c.Reader(ctx, ReaderOptions{Database: copyDatabase(d)})
			if err == nil {
				_, err = r.Next(ctx) // one that lost the consumer again finds out here
				defer func() { _ = r.Close() }()
			}
			refused <- err
		})
	}
	for range copies - 1 {
		err := <-refused
		if _, ok := errors.AsType[*LiveCopyError](err); !ok {
			t.Errorf("a copy was not refused by the live writer's name: %v", err)
		}
	}
	select {
	case err := <-refused:
		t.Errorf("all copies were refused: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	wg.Wait()
}

// A hookedDatabase calls a function when a takeover has found the earlier
// generations, and has not created its own.
type hookedDatabase struct {
	*testDatabase
	hook func()
}

func (d *hookedDatabase) SetMark(ctx context.Context, m mta.Mark) error {
	d.hook()
	return d.testDatabase.SetMark(ctx, m)
}

// A takeover that two rivals overtake finds its generation free again: the second
// rival has deleted the first one's. It must not read beside the second one.
func TestOvertakenTakeover(t *testing.T) {
	b, c := startFilled(t)
	s, err := c.Stream(t.Context())
	if err == nil {
		err = s.Purge(t.Context(), jetstream.WithPurgeSequence(5)) // so that the mark is set
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &testDatabase{id: "db1", path: "/db1"}
	var rival *Reader
	slow := &hookedDatabase{testDatabase: copyDatabase(d), hook: func() {
		for range 2 {
			if rival, err = openFor(t, c, d, ReaderOptions{manual: true}); err != nil {
				t.Fatal(err)
			}
		}
	}}
	other, _ := connect(t, b)
	_, err = other.Reader(t.Context(), ReaderOptions{Database: slow})
	if _, ok := errors.AsType[*LiveCopyError](err); !ok {
		t.Errorf("%v, want an error that names the live writer", err)
	}
	if got, err := listGenerations(t.Context(), s); err != nil || !slices.Equal(got, []int{rival.generation}) {
		t.Errorf("generations %v (%v), want %d alone", got, err, rival.generation)
	}
	storeNext(t, rival, d, 6)
	closeReader(t, rival)
}

// A copy from before the last acknowledged row, or a restored backup, lacks rows
// that are no longer in the stream.
func TestStaleCopyIsRefused(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 21)
	flush(t, p)
	d := &testDatabase{id: "db1", path: "/db1"}
	never := copyDatabase(d)
	r, err := openFor(t, c, d, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	storeNext(t, r, d, 10)
	backup := copyDatabase(d)
	storeNext(t, r, d, 5)
	closeReader(t, r)
	for _, stale := range []*testDatabase{never, backup} {
		_, err := openFor(t, c, stale, ReaderOptions{})
		if e, ok := errors.AsType[*StaleError](err); !ok || e.Acknowledged != 15 || e.Stored != stale.mark.Sequence {
			t.Fatalf("a copy with the mark %v reads: %v", stale.mark, err)
		}
	}
	r, err = openFor(t, c, d, ReaderOptions{})
	if err != nil {
		t.Fatalf("the current database is refused: %v", err)
	}
	closeReader(t, r)
	if r, err = openFor(t, c, backup, ReaderOptions{Adopt: true}); err != nil {
		t.Fatal(err)
	}
	storeNext(t, r, backup, 5)
	closeReader(t, r)
	if _, err := openFor(t, c, d, ReaderOptions{}); err == nil {
		t.Error("the backup was adopted and went on, and the database that it replaced still reads")
	}
}

// A reader that lost the consumer to another database ends. It does not take it
// back.
func TestOverthrownReaderEnds(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	d := &testDatabase{id: "db1", path: "/db1"}
	r, err := openFor(t, c, d, ReaderOptions{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	d2 := &testDatabase{id: "db2", path: "/db2"}
	other, _ := connect(t, b)
	r2, err := openFor(t, other, d2, ReaderOptions{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.Next(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the overthrown reader: %v", err)
	} else if e, ok := errors.AsType[*DatabaseError](err); !ok || e.Database != "db2" {
		t.Errorf("the overthrown reader: %v", err)
	}
	publish(t, p, 2, 2)
	storeNext(t, r2, d2, 1)
	closeReader(t, r2)
}

// Acknowledgements of a writer that was paused go nowhere once another has taken
// over.
func TestLateAcknowledgements(t *testing.T) {
	b, c := startFilled(t)
	d := &testDatabase{id: "db1", path: "/db1"}
	paused, err := openFor(t, c, d, ReaderOptions{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	var late []*Delivery
	for range 10 {
		late = append(late, next(t, paused))
	}
	other, _ := connect(t, b)
	r, err := openFor(t, other, copyDatabase(d), ReaderOptions{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range late {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.nc.Flush(), other.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	if queued, held, err := r.Pending(t.Context()); err != nil || queued+held != 10 {
		t.Errorf("%d queued, %d unacknowledged (%v), want 10 in all", queued, held, err)
	}
	if err := paused.purge(t.Context()); err == nil {
		t.Error("the paused writer can still purge")
	}
	take(t, r, 10)
	closeReader(t, r)
}

// Messages that someone else purged before they were stored are missed loudly.
func TestPurgedByOthers(t *testing.T) {
	_, c := startFilled(t)
	d := &testDatabase{id: "db1", path: "/db1"}
	r, err := openFor(t, c, d, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	storeNext(t, r, d, 5)
	closeReader(t, r)
	s, err := c.Stream(t.Context())
	if err == nil {
		err = s.Purge(t.Context(), jetstream.WithPurgeSequence(9))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = openFor(t, c, d, ReaderOptions{})
	if e, ok := errors.AsType[*StaleError](err); !ok || e.Acknowledged != 8 || e.Stored != 5 {
		t.Fatalf("rows were purged unread: %v", err)
	}
	if r, err = openFor(t, c, d, ReaderOptions{Adopt: true}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, r); m.Mark().Sequence != 9 || d.mark.Sequence != 8 {
		t.Errorf("goes on with %v, the mark is %v; want 9 and 8", m.Mark(), d.mark)
	}
	closeReader(t, r)
	if r, err = openFor(t, c, d, ReaderOptions{}); err != nil {
		t.Fatalf("--adopt is needed once: %v", err)
	}
	closeReader(t, r)
}

// The consumer of an earlier version has no number, and its database no mark.
func TestUpgrade(t *testing.T) {
	_, c := startFilled(t)
	s, err := c.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "writer", DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: 40_000,
		Metadata: map[string]string{"turnstile-database": "db1", "turnstile-path": "/db1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := old.Fetch(4)
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openFor(t, c, &testDatabase{id: "db2", path: "/db2"}, ReaderOptions{}); err == nil {
		t.Fatal("another database reads")
	}
	d := &testDatabase{id: "db1", path: "/db1"}
	clone := copyDatabase(d)
	for range 2 { // also when it is restarted before it has stored anything
		r, err := openFor(t, c, d, ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if m := next(t, r); m.Mark().Sequence != 5 {
			t.Errorf("the first message is %v, want 5", m.Mark())
		}
		closeReader(t, r)
	}
	if _, err := s.Consumer(t.Context(), "writer"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("the old consumer: %v, want none", err)
	}
	if _, err := openFor(t, c, clone, ReaderOptions{}); err == nil {
		t.Error("a copy from before the upgrade reads")
	}
}

// A takeover that was interrupted between its two steps leaves two generations.
func TestInterruptedTakeover(t *testing.T) {
	_, c := startFilled(t)
	d := &testDatabase{id: "db1", path: "/db1"}
	r, err := openFor(t, c, d, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	storeNext(t, r, d, 3)
	closeReader(t, r)
	if _, err := r.stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "writer-2", DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 4, AckPolicy: jetstream.AckExplicitPolicy,
		Metadata: map[string]string{databaseKey: "db1", pathKey: "/db1", ownerKey: "crashed"},
	}); err != nil {
		t.Fatal(err)
	}
	if r, err = openFor(t, c, d, ReaderOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := listGenerations(t.Context(), r.stream); err != nil || !slices.Equal(got, []int{r.generation}) || r.generation < 3 {
		t.Errorf("generations %v (%v), want %d alone, 3 at least", got, err, r.generation)
	}
	storeNext(t, r, d, 7)
	drained(t, r)
	closeReader(t, r)
}

// The answer to a takeover was lost, and the earlier owner has stored and purged
// more since. The second attempt finds a generation of its own, and still lacks
// those rows.
func TestPurgedSinceTheFirstAttempt(t *testing.T) {
	_, c := startFilled(t)
	d := &testDatabase{id: "db1", path: "/db1"}
	r, err := openFor(t, c, d, ReaderOptions{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	late := &Reader{conn: c, options: ReaderOptions{Database: copyDatabase(d), manual: true}, generation: 2}
	if _, err := r.stream.CreateConsumer(t.Context(), late.consumerConfig("late", 0)); err != nil {
		t.Fatal(err)
	}
	storeNext(t, r, d, 5)
	if err := r.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = late.open(t.Context())
	if e, ok := errors.AsType[*StaleError](err); !ok || e.Acknowledged != 5 || e.Stored != 0 {
		t.Errorf("a copy that lacks rows reads: %v", err)
	}
}

func TestGenerationNames(t *testing.T) {
	for name, want := range map[string]int{"writer": 0, "writer-1": 1, "writer-12": 12} {
		if got, ok := generationOf(name); !ok || got != want || consumerName(want) != name {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "many", "writer-", "writer-0", "writer-01", "writer-x", "writer1", "writer--1", "writers", "writer-9223372036854775807"} {
		if g, ok := generationOf(name); ok {
			t.Errorf("%s is generation %d", name, g)
		}
	}
}

// A delivery that is missing among later ones is noticed: the mark says that all
// before it are stored.
func TestLostDelivery(t *testing.T) {
	p := &puller{messages: 10, bytes: windowBytes}
	delivery := func(reply string) error {
		return p.count(&nats.Msg{Subject: "mta.ridership.x", Reply: reply, Sub: &nats.Subscription{}})
	}
	if err := errors.Join(delivery("$JS.ACK.MTA.writer-1.1.7.1.1700000000000000000.0"), delivery("$JS.ACK.MTA.writer-1.1.8.2.1700000000000000000.0")); err != nil {
		t.Fatal(err)
	}
	if err := delivery("$JS.ACK.MTA.writer-1.1.10.4.1700000000000000000.0"); !errors.Is(err, errDeliveryLost) {
		t.Errorf("the third delivery is missing: %v", err)
	}
}

var fenceRounds = flag.Int("fence-rounds", 25, "rounds of the random test of the fence")

// A simulation of databases, copies of them, and writers that are paused and go
// on. Whatever happens, a database that may take over has all rows in the end.
type fenceRound struct {
	t         *testing.T
	rand      *rand.Rand
	nc        *nats.Conn
	published uint32
	databases []*simDatabase
	writers   []*simWriter
	refused   int
	accepted  int
}

type simDatabase struct {
	testDatabase
	rows map[uint32]bool
}

// A simWriter is a reader and what it has not acknowledged yet.
type simWriter struct {
	r      *Reader
	d      *simDatabase
	stored []*Delivery
	ended  bool // it was refused
}

func TestFenceSimulation(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	refused, accepted := 0, 0
	for round := range *fenceRounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			// Each round has its own broker: the server removes the folder of a deleted
			// stream later, and can fail to create the next one of that name.
			b := startBroker(t, 64<<20)
			conns := make([]*Conn, 3)
			for i := range conns {
				conns[i], _ = connect(t, b)
			}
			f := &fenceRound{t: t, rand: rand.New(rand.NewPCG(seed, uint64(round))), nc: raw(t, b)}
			f.databases = []*simDatabase{{testDatabase: testDatabase{id: "db1", path: "/db1"}, rows: map[uint32]bool{}}}
			for range 40 {
				f.act(conns[f.rand.IntN(len(conns))])
			}
			f.check(conns[0])
			refused, accepted = refused+f.refused, accepted+f.accepted
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	if refused == 0 || accepted == 0 {
		t.Errorf("%d takeovers refused, %d accepted; the simulation shows nothing", refused, accepted)
	}
	t.Logf("%d takeovers refused, %d accepted", refused, accepted)
}

func (f *fenceRound) act(c *Conn) {
	var w *simWriter
	if len(f.writers) > 0 {
		w = f.writers[f.rand.IntN(len(f.writers))]
	}
	switch n := f.rand.IntN(10); {
	case n < 3:
		for range 1 + f.rand.IntN(4) {
			f.publish()
		}
	case n < 4:
		d := f.databases[f.rand.IntN(len(f.databases))]
		f.databases = append(f.databases, &simDatabase{testDatabase: *new(testDatabase), rows: maps.Clone(d.rows)})
		last := f.databases[len(f.databases)-1]
		last.id, last.path, last.mark = d.id, d.path, d.mark
	case n < 5 || w == nil:
		f.takeOver(c, f.databases[f.rand.IntN(len(f.databases))])
	case w.ended:
	case n < 8:
		f.read(w, 1+f.rand.IntN(4), 5*time.Millisecond)
	case n < 9: // late or not
		f.acknowledge(w, f.rand.IntN(len(w.stored)+1))
	default:
		_ = w.r.purge(f.t.Context()) // fails if it was overthrown
	}
}

func (f *fenceRound) publish() {
	f.published++
	m, err := encode(Subject("a.csv"), chunk(int(f.published)))
	if err == nil {
		_, err = f.nc.RequestMsg(m, patience)
	}
	if err != nil {
		f.t.Error(err)
	}
}

func (f *fenceRound) takeOver(c *Conn, d *simDatabase) *simWriter {
	r, err := c.Reader(f.t.Context(), ReaderOptions{Database: &d.testDatabase, manual: true})
	if err != nil {
		if _, ok := errors.AsType[*StaleError](err); !ok {
			f.t.Error(err)
		}
		f.refused++
		return nil
	}
	f.accepted++
	w := &simWriter{r: r, d: d}
	f.writers = append(f.writers, w)
	return w
}

// read stores up to n messages, in one transaction each, and waits so long for each.
func (f *fenceRound) read(w *simWriter, n int, wait time.Duration) {
	for range n {
		ctx, cancel := context.WithTimeout(f.t.Context(), wait)
		m, err := w.r.Next(ctx)
		cancel()
		if err != nil {
			_, w.ended = errors.AsType[*StaleError](err)
			return
		}
		c, err := m.Chunk()
		if err := errors.Join(err, w.d.SetMark(f.t.Context(), m.Mark())); err != nil {
			f.t.Error(err)
		}
		w.d.rows[uint32(c.Line)] = true
		w.stored = append(w.stored, m)
	}
}

// acknowledge acknowledges the first n stored messages of a writer.
func (f *fenceRound) acknowledge(w *simWriter, n int) {
	for _, m := range w.stored[:n] {
		if err := m.Ack(); err != nil {
			f.t.Error(err)
		}
	}
	w.stored = w.stored[n:]
	if err := w.r.conn.nc.Flush(); err != nil {
		f.t.Error(err)
	}
}

// check has every database take over and read the rest of the stream. Each that
// may do so must have all rows then.
func (f *fenceRound) check(c *Conn) {
	f.rand.Shuffle(len(f.databases), func(i, k int) {
		f.databases[i], f.databases[k] = f.databases[k], f.databases[i]
	})
	for _, d := range f.databases {
		w := f.takeOver(c, d)
		if w == nil {
			continue
		}
		wait := 5 * time.Millisecond
		until(f.t, "the stream is drained", func() bool {
			empty, err := w.r.Drained(f.t.Context())
			if err != nil {
				f.t.Log(err) // the connection was lost on a slow machine; or it is said below
			}
			if !empty {
				f.read(w, 1, wait)
				f.acknowledge(w, len(w.stored))
				wait = min(2*wait, time.Second) // enough to take over again
			}
			return empty
		})
		for line := uint32(1); line <= f.published; line++ {
			if !d.rows[line] {
				f.t.Errorf("a database took over and lacks line %d of %d", line, f.published)
			}
		}
	}
	for _, w := range f.writers {
		w.r.end()
		w.r.stopAnswering()
		w.r.puller.stop()
	}
}
