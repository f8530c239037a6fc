package stream

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"turnstile/internal/mta"
)

// A connection that takes nothing is closed by the write that finds out,
// and both sides have its end.
func TestTakesNothing(t *testing.T) {
	a, b := net.Pipe() // nobody reads from b
	defer b.Close()
	c := deadlineConn{a}
	late := time.Now().Add(patience)
	if err := errors.Join(c.SetWriteDeadline(time.Now().Add(time.Millisecond)), b.SetReadDeadline(late)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("PING\r\n")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v, want that of the deadline", err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other side has %v, want the end", err)
	}
	if _, err := c.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written again: %v, want a closed connection", err)
	}
}

// An address that can't be a broker's is refused, not waited for.
func TestCheckServers(t *testing.T) {
	for list, ok := range map[string]bool{
		"nats://127.0.0.1:4222": true, "127.0.0.1:4222": true, "tls://a:1,nats://b:2": true, "nats://u:p@a": true,
		"": false, "nats://": false, "http://a:4222": false, "nats://a,foo://b": false, "nats://a,": false,
	} {
		if err := checkServers(list); (err == nil) != ok {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// A broker that is cut off while we send to it is noticed, although the system
// takes no more of what we write.
func TestCutOffWhileSending(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 1<<30)
	x := startProxy(t, b)
	log := &lines{}
	c, err := Connect(t.Context(), Config{
		Servers: x.url, Role: "test", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.nc.Close)
	p := publisher(t, c, PublisherOptions{})
	p.mu.Lock()
	p.window.size = 8
	p.mu.Unlock()
	x.mode.Store(stall)
	go func() {
		for line := range 8 { // more than the system buffers
			chunk := mta.Chunk{Source: "a.csv", Columns: "a", Line: int64(line + 2), Data: make([]byte, 900<<10), Records: 1}
			if err := p.Publish(t.Context(), chunk); err != nil {
				return // the test is over
			}
		}
	}()
	until(t, "it is noticed", func() bool { return log.count("disconnected from the broker") > 0 })
}

// A question that is dropped is asked again soon; a slow broker gets longer each time.
func TestLookupTimeoutGrows(t *testing.T) {
	for attempt, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, apiTimeout, apiTimeout} {
		if got := lookupTimeout(attempt); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}
