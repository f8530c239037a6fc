package stream

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"

	"turnstile/internal/mta"
)

// A wire is between us and a broker, and can be cut: then nothing passes, and
// nobody is told.
type wire struct {
	net.Listener
	to  string
	mu  sync.Mutex
	cut bool
	ch  chan struct{} // closed when the test is over
}

func newWire(t *testing.T, b *broker) *wire {
	t.Helper()
	u, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: u.Host, ch: make(chan struct{})}
	t.Cleanup(func() { close(w.ch); l.Close() })
	go w.accept()
	return w
}

func (w *wire) accept() {
	for {
		a, err := w.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", w.to)
		if err != nil {
			a.Close()
			continue
		}
		go w.pass(a, b)
		go w.pass(b, a)
	}
}

func (w *wire) pass(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		cut := w.cut
		w.mu.Unlock()
		if cut {
			<-w.ch
			return
		}
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// A broker that is cut off while we send to it is noticed, although the system
// takes no more of what we write.
func TestCutOffWhileSending(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 1<<30)
	w := newWire(t, b)
	log := &lines{}
	c, err := Connect(t.Context(), Config{
		Servers: "nats://" + w.Addr().String(), Role: "test", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.nc.Close)
	p := publisher(t, c, PublisherOptions{})
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
	for line := range 8 { // more than the system buffers
		chunk := mta.Chunk{Source: "a.csv", Columns: "a", Line: uint32(line + 2), Data: make([]byte, 900<<10), Records: 1}
		if err := p.Publish(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "it is noticed", func() bool { return log.count("the broker is gone") > 0 })
}
