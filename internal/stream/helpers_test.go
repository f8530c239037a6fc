package stream

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
	"turnstile/internal/natsd"
	"turnstile/internal/natsd/natsdtest"
)

// startBroker starts a broker whose stream takes that many bytes.
func startBroker(t *testing.T, maxBytes int64, changes ...func(*natsd.Config)) *natsdtest.Broker {
	t.Helper()
	return natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return Ensure(ctx, nc, maxBytes, 1) }, changes...)
}

// A lines is a log, to be looked into while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func connect(t *testing.T, b *natsdtest.Broker) (*Conn, *lines) {
	t.Helper()
	log := &lines{}
	c, err := Connect(t.Context(), Config{Servers: b.URL(), Role: "test", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.nc.Close()
		if t.Failed() {
			t.Logf("log:\n%s", &log.b)
		}
	})
	return c, log
}

// A proxy is between a connection and a broker. It can delay all bytes, and cut
// the two off without closing a connection.
type proxy struct {
	url   string
	delay atomic.Int64 // in each direction
	mode  atomic.Int32
	to    string
	ended chan struct{} // closed when the test is over
}

const (
	pass    int32 = iota
	discard       // reads and drops everything
	stall         // reads nothing more, until the senders' buffers are full
)

func startProxy(t *testing.T, b *natsdtest.Broker) *proxy {
	t.Helper()
	u, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{url: "nats://" + l.Addr().String(), to: u.Host, ended: make(chan struct{})}
	t.Cleanup(func() { close(x.ended); l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", x.to)
			if err != nil {
				client.Close()
				continue
			}
			go x.pass(client, server)
			go x.pass(server, client)
		}
	}()
	return x
}

func (x *proxy) pass(to io.WriteCloser, from io.Reader) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				return
			}
		}
	}()
	defer close(pieces)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		switch x.mode.Load() {
		case stall:
			<-x.ended
			return
		case discard:
			n = 0
		}
		if err != nil {
			return
		}
		select {
		case pieces <- piece{bytes.Clone(b[:n]), time.Now().Add(time.Duration(x.delay.Load()))}:
		case <-x.ended:
			return
		}
	}
}

// raw is a connection of someone else's.
func raw(t *testing.T, b *natsdtest.Broker) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(b.URL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// publisher starts a publisher that is patient: while the machine stands still, nobody
// answers, and the tests count on each message being sent once.
func publisher(t *testing.T, c *Conn, o PublisherOptions) *Publisher {
	t.Helper()
	o.patience = cmp.Or(o.patience, maxPatience)
	p, err := c.Publisher(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func reader(t *testing.T, c *Conn, database string) *Reader {
	t.Helper()
	r, err := c.Reader(t.Context(), ReaderOptions{Database: &testDatabase{id: database, path: "/" + database}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// A testDatabase is what the fence knows of a database.
type testDatabase struct {
	id, path string
	mu       sync.Mutex
	mark     mta.Mark
}

func (d *testDatabase) ID() string   { return d.id }
func (d *testDatabase) Path() string { return d.path }

func (d *testDatabase) Mark(context.Context) (mta.Mark, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mark, nil
}

func (d *testDatabase) SetMark(_ context.Context, m mta.Mark) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.Stream != d.mark.Stream || m.Sequence > d.mark.Sequence {
		d.mark = m
	}
	return nil
}

// chunk is a row at a line; its bytes say which.
func chunk(line int) mta.Chunk {
	return mta.Chunk{
		Source: "a.csv", Columns: "a,b,c", Line: int64(line), Data: fmt.Appendf(nil, "row,%d,x\n", line), Records: 1,
	}
}

func publish(t *testing.T, p *Publisher, from, to int) {
	t.Helper()
	for line := from; line <= to; line++ {
		if err := p.Publish(t.Context(), chunk(line)); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, p *Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// startFilled starts a broker and connects to it. Its queue holds the lines 2 to 11.
func startFilled(t *testing.T) (*natsdtest.Broker, *Conn) {
	t.Helper()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	publish(t, p, 2, 11)
	flush(t, p)
	return b, c
}

// take reads until it has n messages that are told apart by their line, and
// acknowledges them. It returns how often each came.
func take(t *testing.T, r *Reader, n int) map[uint32]int {
	t.Helper()
	got := map[uint32]int{}
	for len(got) < n {
		d := next(t, r)
		c, err := d.Chunk()
		if err != nil {
			t.Fatal(err)
		}
		got[uint32(c.Line)]++
		if err := d.Ack(); err != nil {
			t.Logf("acknowledge: %v", err) // the broker may just be away
		}
	}
	return got
}

func next(t *testing.T, r *Reader) *Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

// within does what must take less than a limit. A machine may stand still meanwhile,
// but not each time.
func within(t *testing.T, limit time.Duration, do func() (took time.Duration)) {
	t.Helper()
	took := do()
	for range 4 {
		if took < limit {
			return
		}
		took = min(took, do())
	}
	if took >= limit {
		t.Errorf("it took %s, want less than %s", took, limit)
	}
}

func drained(t *testing.T, r *Reader) {
	t.Helper()
	until(t, "nothing is pending", func() bool {
		queued, inHand, err := r.Pending(t.Context())
		return err == nil && queued == 0 && inHand == 0
	})
}
