package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/natsd/natsdtest"
)

// oddHeaders are headers that the client library reads as a status of the
// server when the body is empty, and others that only look odd.
var oddHeaders = map[string]nats.Header{
	"100":                 {"Status": {"100"}},
	"100 heartbeat":       {"Status": {"100"}, "Description": {"Idle Heartbeat"}},
	"404":                 {"Status": {"404"}, "Description": {"No Messages"}},
	"408":                 {"Status": {"408"}, "Description": {"Request Timeout"}, "Nats-Pending-Messages": {"5"}, "Nats-Pending-Bytes": {"7"}},
	"409 deleted":         {"Status": {"409"}, "Description": {"Consumer Deleted"}},
	"409 shutdown":        {"Status": {"409"}, "Description": {"Server Shutdown"}},
	"409 size":            {"Status": {"409"}, "Description": {"Message Size Exceeds MaxBytes"}},
	"423":                 {"Status": {"423"}, "Description": {"Nats-Wrong-Pin-Id"}},
	"503":                 {"Status": {"503"}},
	"forged pending":      {"Nats-Pending-Messages": {"-1"}, "Nats-Pending-Bytes": {"99999999999"}},
	"headers only":        {"Anything": {"x"}},
	"turnstile, no body":  {sourceHeader: {"a.csv"}, lineHeader: {"7"}, columnsHeader: {"a,b,c"}},
	"turnstile and a 503": {sourceHeader: {"a.csv"}, lineHeader: {"7"}, columnsHeader: {"a,b,c"}, "Status": {"503"}},
}

// Every message is delivered and can be acknowledged, whatever its shape. So
// none keeps the stream from being purged.
func TestOddMessages(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 512<<20)
	c, _ := connect(t, b)
	nc := raw(t, b)
	r := reader(t, c, "db1")
	inline := statusLine(t, b)
	const rounds = 1000
	go func() {
		for i := range rounds {
			for _, h := range oddHeaders {
				_ = nc.PublishMsg(&nats.Msg{Subject: rowSubjects + "x", Header: h})
			}
			_ = nc.Publish(rowSubjects+"x", nil)
			if i%100 == 0 {
				_ = nc.Publish(rowSubjects+"x", bytes.Repeat([]byte{'x'}, 1<<20-64))
			}
			inline("NATS/1.0 503")
			inline("NATS/1.0 409 Consumer Deleted")
			// The answer keeps the test from flooding the broker, which would
			// then drop messages.
			m, err := encode(Subject("a.csv"), chunk(2+i))
			if err == nil {
				_, err = nc.RequestMsg(m, patience)
			}
			if err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		}
	}()
	want := rounds*(len(oddHeaders)+4) + rounds/100
	seen, rows := map[uint64]bool{}, 0
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // it takes 2 s
	defer cancel()
	for len(seen) < want {
		d, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("%v: %d messages came, want %d", err, len(seen), want)
		}
		if _, err := d.Chunk(); err == nil {
			rows++
		}
		seen[d.Mark().Sequence] = true
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if rows != rounds {
		t.Errorf("%d rows, want %d", rows, rounds)
	}
	drained(t, r)
	until(t, "the stream is empty", func() bool { return messages(t, c) == 0 })
}

// statusLine returns a function that publishes an empty message whose header
// block is one line. The client library can't send that.
func statusLine(t *testing.T, b *natsdtest.Broker) func(line string) {
	t.Helper()
	u, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\n")
	return func(line string) {
		block := line + "\r\n\r\n"
		fmt.Fprintf(conn, "HPUB %sx %d %d\r\n%s\r\n", rowSubjects, len(block), len(block), block)
	}
}

// The loop counts a pull as the server does. If it counted otherwise, it would
// wait for messages without an open pull.
func TestPullsEndAsOnTheServer(t *testing.T) {
	b := startBroker(t, 512<<20)
	c, _ := connect(t, b)
	nc := raw(t, b)
	r := reader(t, c, "db1")
	const n = 60 // of 900 KiB: seven pulls
	body := []byte(strings.Repeat("x", 900<<10))
	for range n {
		if _, err := nc.Request(rowSubjects+"x", body, patience); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	silent := 0 // times in a row
	for got := 0; got < n; {
		m, err := r.puller.next(ctx)
		switch {
		case err == nil:
			got, silent = got+1, 0
			err = m.Ack()
		case errors.Is(err, errPullBroken): // a slow machine is silent, too, but not for long
			var info *jetstream.ConsumerInfo
			silent++
			if info, err = r.consumer.Info(ctx); err == nil && info.NumWaiting == 0 && silent > 3 {
				t.Fatal("a pull had ended and was not noticed")
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := r.puller.number; got < 7 || got > 12 {
		t.Errorf("%d pulls, want about 7", got)
	}
}
