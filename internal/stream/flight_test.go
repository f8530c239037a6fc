package stream

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A leader takes messages in place of the stream, and answers as it likes.
type leader struct {
	mu    sync.Mutex
	lines map[string]int // how often each came
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
// is answered if answer says so.
func lead(t *testing.T, c *Conn, answer func(n int) bool) *leader {
	t.Helper()
	if err := c.js.DeleteStream(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	l := &leader{lines: map[string]int{}}
	n := 0
	_, err := c.nc.Subscribe(queued+">", func(m *nats.Msg) {
		n++
		l.mu.Lock()
		l.lines[m.Header.Get(lineHeader)]++
		l.mu.Unlock()
		if answer(n) {
			if err := m.Respond(fmt.Appendf(nil, `{"stream":%q,"seq":%d}`, Name, n)); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What a leader took with it is found when a later message is answered, and
// is not sent over and over until then.
func TestLostWithTheLeader(t *testing.T) {
	t.Parallel() // it is mostly waiting
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	p := publisher(t, c, PublisherOptions{patience: 600 * time.Millisecond})
	l := lead(t, c, func(n int) bool { return n > 102 }) // two asked in vain, too
	publish(t, p, 2, 101)
	flush(t, p)
	if most, lines := l.most(); lines != 100 || most > 3 {
		t.Errorf("%d lines came, one of them %d times", lines, most)
	}
	if log.count("does not answer") != 1 || log.count("takes rows again") != 1 {
		t.Error("want each said once")
	}
}

// A broker that is slow gets nothing twice, however long each message waits.
func TestSlowIsNotLost(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	p := publisher(t, c, PublisherOptions{patience: time.Second})
	l := lead(t, c, func(int) bool {
		<-time.After(25 * time.Millisecond)
		return true
	})
	publish(t, p, 2, 121)
	flush(t, p)
	if most, lines := l.most(); lines != 120 || most != 1 {
		t.Errorf("%d lines came, one of them %d times", lines, most)
	}
}
