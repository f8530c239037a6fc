package stream

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestPublishReadAcknowledge(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	var done int
	p := publisher(t, c, PublisherOptions{Done: func(r Receipt) { done += r.Chunk.Records }})
	publish(t, p, 2, 1001)
	flush(t, p)
	if got := p.Totals(); got.Messages != 1000 || got.Records != 1000 || done != 1000 {
		t.Errorf("totals %+v, told of %d", got, done)
	}
	r := reader(t, c, "db1")
	for line, times := range take(t, r, 1000) {
		if times != 1 || line < 2 || line > 1001 {
			t.Errorf("line %d came %d times", line, times)
		}
	}
	drained(t, r)
	until(t, "what is stored is purged", func() bool { return messages(t, c) == 0 })
}

func messages(t *testing.T, c *Conn) uint64 {
	t.Helper()
	s, err := c.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// A reader that dies hands nothing back. The next one must not wait for it.
func TestTakeOverRedeliversAtOnce(t *testing.T) {
	b, c := startFilled(t)
	dead, _ := connect(t, b)
	r1 := reader(t, dead, "db1")
	for range 10 {
		next(t, r1)
	}
	dead.nc.Close()
	start := time.Now()
	r2 := reader(t, c, "db1")
	take(t, r2, 10)
	if took := time.Since(start); took > ackWait/2 {
		t.Errorf("took over after %s", took)
	}
	drained(t, r2)
}

func TestCloseHandsBackWhatIsNotTaken(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 501)
	flush(t, p)
	r := reader(t, c, "db1")
	inHand := next(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := inHand.Ack(); err != nil {
		t.Errorf("what was taken before can still be acknowledged: %v", err)
	}
	until(t, "all but one wait in the queue again", func() bool {
		queued, held, err := r.Pending(t.Context())
		return err == nil && queued+held == 499
	})
}

func TestCloseWithoutBroker(t *testing.T) {
	within(t, apiTimeout, func() time.Duration { return closeWithoutBroker(t) })
}

func closeWithoutBroker(t *testing.T) time.Duration {
	t.Helper()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	r := reader(t, c, "db1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := r.Next(ctx)
		ended <- err
	}()
	b.Shutdown(t)
	start := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return time.Since(start)
}

// A broker that hangs, which is not gone, does not keep us from ending.
func TestCloseBesideAHungBroker(t *testing.T) {
	within(t, apiTimeout, func() time.Duration { return closeBesideAHungBroker(t) })
}

func closeBesideAHungBroker(t *testing.T) time.Duration {
	t.Helper()
	b := startBroker(t, 64<<20)
	x := startProxy(t, b)
	log := &lines{}
	c, err := Connect(t.Context(), Config{Servers: x.url, Role: "test", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Reader(t.Context(), ReaderOptions{Database: &testDatabase{id: "db1", path: "/db1"}})
	if err != nil {
		t.Fatal(err)
	}
	x.mode.Store(discard)
	start := time.Now()
	if err := errors.Join(r.Close(), c.Close()); err != nil || log.count("does not answer") != 1 {
		t.Errorf("got %v; want no error and one warning", err)
	}
	return time.Since(start)
}

func TestFullQueue(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 256<<10)
	c, log := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	const n = 40
	sent := make(chan error, 1)
	go func() {
		for line := 2; line < 2+n; line++ {
			big := chunk(line)
			big.Data = make([]byte, 20<<10)
			if err := p.Publish(t.Context(), big); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	until(t, "it says that the queue is full", func() bool { return log.count("queue is full") > 0 })
	if first, ok := p.First("a.csv"); !ok || first < 2 {
		t.Errorf("the first line not done: %d, %v", first, ok)
	}
	if p.Stalled() == 0 {
		t.Error("not stalled")
	}
	r := reader(t, c, "db1")
	take(t, r, n)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	// Once, unless the machine is so slow that it was over for a while.
	if full, room := log.count("queue is full"), log.count("room in the queue again"); full != room || full > 3 {
		t.Errorf("said full %d times, room %d times; want once each", full, room)
	}
	if got := p.Totals(); got.Records != n {
		t.Errorf("totals %+v", got)
	}
	if _, ok := p.First("a.csv"); ok || p.Stalled() != 0 {
		t.Error("nothing is left, and yet it says so")
	}
}

func TestBrokerRestarts(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	reading, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	r := reader(t, reading, "db1")
	const n = 3000
	sent := make(chan error, 1)
	go func() {
		for line := 2; line < 2+n; line++ {
			if err := p.Publish(t.Context(), chunk(line)); err != nil {
				sent <- err
				return
			}
		}
		sent <- p.Flush(t.Context())
	}()
	var got sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		for {
			d, err := r.Next(ctx)
			if err != nil {
				ended <- err
				return
			}
			c, err := d.Chunk()
			if err != nil {
				t.Error(err)
			}
			got.Store(c.Line, true)
			if err := d.Ack(); err != nil {
				t.Errorf("acknowledge: %v", err)
			}
		}
	}()
	for i := range 3 {
		until(t, "the broker is back", func() bool { return log.count("reconnected to the broker") >= i })
		before := p.Totals().Messages
		until(t, "rows flow", func() bool { return p.Totals().Messages > before || p.Totals().Messages == n })
		b.Shutdown(t)
		b.Restart(t)
	}
	until(t, "the broker is back", func() bool { return log.count("reconnected to the broker") >= 3 })
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	drained(t, r)
	if took := time.Since(start); took > ackWait/2 {
		t.Errorf("drained after %s: what was lost with a connection came back too late", took)
	}
	for line := int64(2); line < 2+n; line++ {
		if _, ok := got.Load(line); !ok {
			t.Fatalf("line %d never came", line)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if gone, back := log.count("disconnected from the broker"), log.count("reconnected to the broker"); gone != back || gone > 6 {
		t.Errorf("said gone %d times, and back %d times; want 3 times each", gone, back)
	}
}

// A queue that was wiped counts from 1 again: an acknowledgement for message 1
// of the old one must not remove message 1 of the new one.
func TestBrokerWiped(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	r := reader(t, c, "db1")
	publish(t, p, 2, 2)
	flush(t, p)
	old := next(t, r)
	b.Shutdown(t)
	if err := os.RemoveAll(b.Store()); err != nil {
		t.Fatal(err)
	}
	b.Restart(t)
	publish(t, p, 3, 3)
	flush(t, p)
	fresh := next(t, r)
	if c, err := fresh.Chunk(); err != nil || c.Line != 3 || fresh.Mark().Sequence != old.Mark().Sequence {
		t.Fatalf("got line %d (%v), sequence %d", c.Line, err, fresh.Mark().Sequence)
	}
	if err := old.Ack(); err != nil {
		t.Error(err)
	}
	if err := c.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if queued, held, err := r.Pending(t.Context()); err != nil || queued+held != 1 {
		t.Errorf("%d queued, %d unacknowledged (%v), want 1: the old acknowledgement removed the new message", queued, held, err)
	}
}

func TestAnotherDatabaseIsRefused(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	open := func(id, path string, adopt bool) error {
		r, err := c.Reader(t.Context(), ReaderOptions{Database: &testDatabase{id: id, path: path}, Adopt: adopt})
		if err == nil {
			err = r.Close()
		}
		return err
	}
	if err := open("db1", "/db1", false); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*DatabaseError](open("db2", "/db2", false)); !ok || e.Database != "db1" || e.Path != "/db1" || e.Copy {
		t.Fatalf("another database reads: %v", e)
	}
	if e, ok := errors.AsType[*DatabaseError](open("db1", "/copy-of-db1", false)); !ok || !e.Copy {
		t.Fatalf("the database at another path reads: %v", e)
	}
	if err := open("db2", "/db2", true); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*DatabaseError](open("db1", "/db1", false)); !ok || e.Database != "db2" {
		t.Errorf("the queue was adopted, and its former database still reads: %v", e)
	}
}

func TestConnectWaits(t *testing.T) {
	b := startBroker(t, 64<<20)
	b.Shutdown(t)
	log := &lines{}
	connected := make(chan error)
	go func() {
		c, err := Connect(t.Context(), Config{Servers: b.URL(), Role: "test", Log: slog.New(slog.NewTextHandler(log, nil))})
		if err == nil {
			defer c.nc.Close()
			_, err = c.Stream(t.Context())
		}
		connected <- err
	}()
	until(t, "it says that it waits", func() bool { return log.count("cannot connect to the broker") == 1 })
	b.Restart(t)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	if log.count("cannot connect to the broker") != 1 || log.count("connected to the broker") != 1 {
		t.Errorf("log:\n%s", &log.b)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no patience")
	cancel(why)
	_, err := Connect(ctx, Config{Servers: "nats://user:secret@127.0.0.1:1", Role: "test", Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestSettings(t *testing.T) {
	if err := checkSettings(settings(1, 1)); err != nil {
		t.Errorf("our own: %v", err)
	}
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"discard policy":     func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"retention":          func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"storage":            func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"subjects":           func(c *jetstream.StreamConfig) { c.Subjects = []string{"mta.>"} },
		"byte limit":         func(c *jetstream.StreamConfig) { c.MaxBytes = -1 },
		"age limit":          func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"message limit":      func(c *jetstream.StreamConfig) { c.MaxMsgs = 5 },
		"message size limit": func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 },
		"deny-purge setting": func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"persist mode":       func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
	} {
		c := settings(1, 1)
		change(&c)
		if e, ok := errors.AsType[*SettingError](checkSettings(c)); !ok || e.Setting != want {
			t.Errorf("%s: got %v", want, e)
		}
	}
}

func TestEnsure(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 101)
	flush(t, p)
	nc := raw(t, b)
	_, err := errors.AsType[*SizeError](Ensure(t.Context(), nc, 1000, 1))
	if !err {
		t.Error("a smaller queue must be refused while it holds more: the server would drop rows")
	}
	if err := Ensure(t.Context(), nc, 32<<20, 1); err != nil {
		t.Fatal(err)
	}
	s, _ := c.Stream(t.Context())
	if got := s.CachedInfo(); got.Config.MaxBytes != 32<<20 || got.State.Msgs != 100 {
		t.Errorf("byte limit %d, %d messages", got.Config.MaxBytes, got.State.Msgs)
	}
}

// TestFit limits the stream to what the disk can hold, also below what it holds.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ maxBytes, holds, room, want int64 }{
		{100, 0, 1000, 100},
		{100, 60, 40, 100},
		{100, 60, 39, 99},
		{100, 60, 0, 60},
		{100, 60, -20, 40},
		{100, 60, -80, 1}, // 0 would be no limit
		{100, 60, math.MaxInt64, 100},
	} {
		if got := sizeLimit(test.maxBytes, test.holds, test.room); got != test.want {
			t.Errorf("at most %d, holds %d, room %d: %d, want %d", test.maxBytes, test.holds, test.room, got, test.want)
		}
	}
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 30)
	flush(t, p)
	nc := raw(t, b)
	if limit, err := Fit(t.Context(), nc, 64<<20, -1000); err != nil || limit >= 4000 {
		t.Fatal(limit, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "mta.ridership.x", nil); err == nil || !strings.Contains(err.Error(), "maximum bytes") {
		t.Errorf("a full queue takes a message: %v", err)
	}
	s, err := js.Stream(t.Context(), Name)
	if err != nil || s.CachedInfo().State.Msgs != 29 || !LimitedByDisk(s.CachedInfo().Config.Metadata) {
		t.Errorf("messages were removed, or the disk is not named: %+v %v", s.CachedInfo(), err)
	}
	if limit, err := Fit(t.Context(), nc, 64<<20, 1<<30); err != nil || limit != 64<<20 {
		t.Error(limit, err)
	}
	if info, err := s.Info(t.Context()); err != nil || LimitedByDisk(info.Config.Metadata) {
		t.Errorf("the disk has room again: %+v %v", info, err)
	}
}
