package stream

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// Another program publishes 10,000 messages at once, with no window. The
// publisher goes on: what the broker refuses meanwhile is resent in its slot.
func TestForeignFlood(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 256<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	nc := raw(t, b)
	const rows = 200
	sent := make(chan error, 1)
	go func() {
		for range 10_000 {
			if err := nc.PublishMsg(&nats.Msg{Subject: rowSubjects + "flood", Reply: "nobody", Data: []byte("x")}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	publish(t, p, 2, 1+rows)
	flush(t, p)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := p.Totals(); got.Records != rows {
		t.Errorf("totals %+v, want %d records", got, rows)
	}
}
