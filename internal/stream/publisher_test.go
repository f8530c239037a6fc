package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

// A leader receives messages in place of the stream, and counts them.
type leader struct {
	mu    sync.Mutex
	lines map[string]int // how often each line came
}

func (l *leader) most() (most, lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.lines {
		most = max(most, n)
	}
	return most, len(l.lines)
}

// lead deletes the stream and answers in its place. The n-th message, from 1,
// gets the answer, if there is one.
func lead(t *testing.T, c *Conn, answer func(n int) string) *leader {
	t.Helper()
	if err := c.js.DeleteStream(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	l := &leader{lines: map[string]int{}}
	n := 0
	_, err := c.nc.Subscribe(rowSubjects+">", func(m *nats.Msg) {
		n++
		l.mu.Lock()
		l.lines[m.Header.Get(lineHeader)]++
		l.mu.Unlock()
		if a := answer(n); a != "" {
			if err := m.Respond([]byte(a)); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func pubAck(n int) string { return fmt.Sprintf(`{"stream":%q,"seq":%d}`, Name, n) }

// Messages lost with a leader are found once a later one is acknowledged. Until
// then only one at a time is resent.
func TestLostWithTheLeader(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	p := publisher(t, c, PublisherOptions{patience: 600 * time.Millisecond})
	l := lead(t, c, func(n int) string {
		if n <= startWindow+2 { // two probes in vain, too
			return ""
		}
		return pubAck(n)
	})
	publish(t, p, 2, 101)
	flush(t, p)
	if most, lines := l.most(); lines != 100 || most > 10 {
		t.Errorf("%d lines came, one of them %d times", lines, most)
	}
	// Once, unless the machine is so slow that an answer takes that long later, too.
	if lost, again := log.count("does not answer"), log.count("broker answers again"); lost != again || lost < 1 || lost > 10 {
		t.Errorf("said lost %d times, and answering again %d times; want once each", lost, again)
	}
}

// A slow broker gets no message twice, however long each one waits.
func TestSlowIsNotLost(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	l := lead(t, c, func(n int) string {
		<-time.After(25 * time.Millisecond)
		return pubAck(n)
	})
	publish(t, p, 2, 121)
	flush(t, p)
	if most, lines := l.most(); lines != 120 || most != 1 {
		t.Errorf("%d lines came, one of them %d times", lines, most)
	}
}

// serve answers and acknowledges what a reader gets, until it is stopped. The
// answer to a chunk is a function's.
func serve(t *testing.T, r *Reader, answer func(*Delivery) []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := r.Next(ctx)
			if err != nil {
				return
			}
			if a := answer(d); a != nil {
				err = d.Confirm(a)
			}
			if err := errors.Join(err, d.Ack()); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func stored(n int) []byte {
	a, err := json.Marshal(mta.Outcome{Stored: n})
	if err != nil {
		panic(err)
	}
	return a
}

func TestConfirmCountsOnce(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	p := publisher(t, c, PublisherOptions{Stored: true})
	publish(t, p, 2, 101)
	until(t, "it says that nobody answers", func() bool { return log.count("no consumer sends confirmations") == 1 })
	if got := p.Totals(); got.Messages != 0 {
		t.Errorf("done without a confirmation: %+v", got)
	}
	serve(t, reader(t, c, "db1"), func(d *Delivery) []byte {
		if err := d.Confirm(stored(1)); err != nil { // and once more by serve
			t.Error(err)
		}
		return stored(1)
	})
	flush(t, p)
	if got := p.Totals(); got.Outcome.Stored != 100 || got.Records != 100 {
		t.Errorf("totals %+v", got)
	}
	// Once, unless the machine is so slow that a confirmation takes that long later, too.
	if none, again := log.count("no consumer sends confirmations"), log.count("a consumer sends confirmations"); none != again || none > 10 {
		t.Errorf("said none %d times, and one again %d times; want once each", none, again)
	}
}

// A confirmation that got lost comes when the rows pass again.
func TestConfirmationLost(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{Stored: true, confirmWithin: 100 * time.Millisecond})
	seen := map[uint32]int{}
	serve(t, reader(t, c, "db1"), func(d *Delivery) []byte {
		chunk, err := d.Chunk()
		if err != nil {
			t.Error(err)
		}
		if seen[uint32(chunk.Line)]++; seen[uint32(chunk.Line)] == 1 {
			return nil
		}
		return stored(1)
	})
	publish(t, p, 2, 11)
	flush(t, p)
	if got := p.Totals(); got.Outcome.Stored != 10 {
		t.Errorf("totals %+v", got)
	}
}

// Without a consumer the queue must not fill with copies.
func TestNoCopiesWhileNobodyReads(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{Stored: true})
	publish(t, p, 2, 11)
	until(t, "all are in the queue", func() bool { return messages(t, c) == 10 })
	until(t, "all are acknowledged", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.slots {
			if s.state != slotAcked {
				return false
			}
			s.acked -= confirmWithin + time.Second // long ago
		}
		return true
	})
	s, err := c.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.resendUnconfirmed(s.CachedInfo().State, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) != 0 {
		t.Errorf("%d messages are resent while they are still in the queue", len(p.queue))
	}
}

// A hostile confirmation header must not make the consumer publish where only
// the consumer has permission.
func TestHostileConfirmation(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	nc := raw(t, b)
	all, err := nc.SubscribeSync("$JS.ACK.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []nats.Header{
		{confirmHeader: {"$JS.ACK.MTA.writer.1.1.1.1700000000000000000.0"}},
		{confirmHeader: {"turnstile.confirm.>"}},
		nil,
	} {
		if err := nc.PublishMsg(&nats.Msg{Subject: rowSubjects + "x", Header: h, Data: []byte("hello")}); err != nil {
			t.Fatal(err)
		}
	}
	r := reader(t, c, "db1")
	for range 3 {
		d := next(t, r)
		if _, err := d.Chunk(); err == nil || string(d.Body()) != "hello" || d.Mark().Sequence == 0 {
			t.Errorf("a foreign message: %v, %q, %d", err, d.Body(), d.Mark().Sequence)
		}
		if err := d.Confirm(nil); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(c.nc.Flush(), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := all.Pending(); n != 0 {
		t.Errorf("%d messages published to $JS.ACK", n)
	}
	if _, held, err := r.Pending(t.Context()); err != nil || held != 3 {
		t.Errorf("%d in flight (%v), want 3", held, err)
	}
}

// A request is answered although the round trip takes longer than the pause
// before it is resent, and although the consumer is stopped for longer.
func TestRequestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name           string
		delay, stopped time.Duration
	}{
		{"slow link", 300 * time.Millisecond, 0},
		{"stopped in cycles", 0, 600 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it is mostly waiting
			b := startBroker(t, 64<<20)
			serving, _ := connect(t, b)
			x := startProxy(t, b)
			asking, err := Connect(t.Context(), Config{Servers: x.url, Role: "test", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(asking.nc.Close)
			q, err := asking.Requester()
			if err != nil {
				t.Fatal(err)
			}
			served := serveRequests(t, serving, c.stopped)
			x.delay.Store(int64(c.delay))
			const n = 3
			for line := 2; line < 2+n; line++ {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if got, err := q.Store(ctx, chunk(line)); err != nil || got.Stored != 1 {
					t.Errorf("line %d: got %+v, %v", line, got, err)
				}
				cancel()
			}
			if got := served.Load(); got > 5*n {
				t.Errorf("%d requests were served for %d", got, n)
			}
		})
	}
}

// serveRequests answers requests until the test is over. Before each round of
// requests it stops for a while.
func serveRequests(t *testing.T, c *Conn, stopped time.Duration) *atomic.Int64 {
	t.Helper()
	requests, err := reader(t, c, "db1").Requests()
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := requests.Next(ctx)
			if err != nil {
				return
			}
			time.Sleep(stopped)
			served.Add(1)
			if err := d.Confirm(stored(1)); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return &served
}

// TestSecondAnswerIsNotTheNextOne: two writers may answer one request, where a
// copy of the database is written as well. The second answer is about other
// rows than the next request.
func TestSecondAnswerIsNotTheNextOne(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	asker, _ := connect(t, b)
	q, err := asker.Requester()
	if err != nil {
		t.Fatal(err)
	}
	requests, err := reader(t, c, "db1").Requests()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := requests.Next(ctx)
			if err != nil {
				return
			}
			rows, err := d.Chunk()
			answer := stored(int(rows.Line))
			if err := errors.Join(err, d.Confirm(answer), d.Confirm(answer)); err != nil {
				t.Error(err)
			}
		}
	}()
	for line := 2; line < 200; line++ {
		if got, err := q.Store(t.Context(), chunk(line)); err != nil || got.Stored != line {
			t.Fatalf("request %d has the answer %+v, %v", line, got, err)
		}
	}
	cancel()
	<-ended
}

func TestRequests(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	asker, _ := connect(t, b)
	q, err := asker.Requester()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Store(t.Context(), chunk(2)); !errors.Is(err, ErrNoConsumer) {
		t.Errorf("nobody serves: got %v", err)
	}
	requests, err := reader(t, c, "db1").Requests()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan map[int64]int) // how often each line
	go func() {
		lines := map[int64]int{}
		for {
			d, err := requests.Next(ctx)
			if err != nil {
				served <- lines
				return
			}
			c, err := d.Chunk()
			if err != nil {
				t.Errorf("a request that has no rows: %v", err)
			}
			if lines[c.Line]++; c.Line == 2 && lines[2] == 1 {
				continue // the first gets no answer, and is asked again
			}
			answer := stored(1)
			if c.Line == 3 {
				answer = []byte(`{"error":"no"}`)
			}
			if err := errors.Join(d.Confirm(answer), d.Ack()); err != nil || d.Mark().Sequence != 0 {
				t.Errorf("%v, sequence %d", err, d.Mark().Sequence)
			}
		}
	}()
	if got, err := q.Store(t.Context(), chunk(2)); err != nil || got.Stored != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := q.Store(t.Context(), chunk(3)); err == nil || !strings.Contains(err.Error(), "request rejected: no") {
		t.Errorf("got %v", err)
	}
	nc := raw(t, b)
	if err := nc.PublishMsg(&nats.Msg{Subject: requestSubjects + "x", Header: nats.Header{"Status": {"503"}}}); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(requestSubjects+"x", rowSubjects+"x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, "the hostile reply subject is noticed", func() bool { return log.count("request refused: its reply subject") == 1 })
	cancel()
	if err := requests.Close(); err != nil {
		t.Error(err)
	}
	// A request that is answered late is asked once more.
	if lines := <-served; lines[2] < 2 || lines[3] < 1 || len(lines) != 2 {
		t.Errorf("requests served by line: %v, want line 2 at least twice, line 3, and no other", lines)
	}
}
