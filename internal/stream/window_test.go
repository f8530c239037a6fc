package stream

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestWindowAdapts(t *testing.T) {
	w := window{size: startWindow, slow: slowAck}
	now := time.Second
	round := func(took time.Duration) {
		sent := now
		now += took
		for range w.size {
			w.acked(sent, now)
		}
	}
	for want := startWindow + 1; want <= maxWindow; want++ {
		if round(slowAck); w.size != want {
			t.Fatalf("window %d, want one more per round: %d", w.size, want)
		}
	}
	if round(slowAck); w.size != maxWindow {
		t.Errorf("window %d, want %d at most", w.size, maxWindow)
	}
	for want := maxWindow / 2; want >= minWindow; want /= 2 {
		if round(slowAck + 1); w.size != want {
			t.Fatalf("window %d, want it halved once per round: %d", w.size, want)
		}
	}
	if round(slowAck + 1); w.size != minWindow {
		t.Errorf("window %d, want %d at least", w.size, minWindow)
	}
}

// All refusals of one round delay the next probe once.
func TestRefusalsDelayOncePerRound(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	r := refusals{full: notice{log: log}, other: notice{log: log}}
	now := time.Second
	for want := minDelay; want < maxDelay; want *= 2 {
		sent := now
		now += time.Millisecond
		for range maxWindow {
			r.add(nats.ErrNoResponders, sent, now, true)
		}
		if r.delay != want || r.until != now+want {
			t.Fatalf("delay %s until %s, want %s until %s", r.delay, r.until, want, now+want)
		}
	}
	if r.acked(now, 0); r.active() || r.until != 0 {
		t.Error("an acknowledgement does not end the pause")
	}
}

// A message that is refused because the broker receives too many is resent in
// its slot: none is lost, and none is sent while an earlier attempt is in flight.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, log := connect(t, b)
	p := publisher(t, c, PublisherOptions{})
	l := lead(t, c, func(n int) string {
		if n%5 != 0 {
			return `{"stream":"MTA","seq":0,"error":{"code":429,"err_code":10167,"description":"too many requests"}}`
		}
		return pubAck(n)
	})
	publish(t, p, 2, 13)
	flush(t, p)
	if got := p.Totals(); got.Records != 12 {
		t.Errorf("totals %+v", got)
	}
	if most, lines := l.most(); lines != 12 || most > 20 {
		t.Errorf("%d lines came, one of them %d times", lines, most)
	}
	// At most once, unless the machine is so slow that it was over for a while.
	if refused, over := log.count("more messages than its disk takes"), log.count("accepts messages again"); refused != over || refused > 4 {
		t.Errorf("said refused %d times, and over %d times; want at most once each", refused, over)
	}
}

// A syncer acknowledges like nats-server: it takes all messages that have
// arrived, syncs each, and only then acknowledges them all.
type syncer struct {
	fsync time.Duration
	queue chan *nats.Msg

	mu      sync.Mutex
	batches []int
}

func (s *syncer) run(t *testing.T) {
	for m := range s.queue {
		batch := []*nats.Msg{m}
		for len(s.queue) > 0 {
			batch = append(batch, <-s.queue)
		}
		time.Sleep(time.Duration(len(batch)) * s.fsync)
		s.mu.Lock()
		s.batches = append(s.batches, len(batch))
		s.mu.Unlock()
		for _, m := range batch {
			if err := m.Respond([]byte(pubAck(1))); err != nil {
				t.Error(err)
			}
		}
	}
}

// Four publishers of small messages share a disk that takes 20 ms for each: no
// message is sent twice, and the broker never waits a second before it answers.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	publishers := make([]*Publisher, 4)
	for i := range publishers {
		publishers[i] = publisher(t, c, PublisherOptions{})
	}
	if err := c.js.DeleteStream(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	s := &syncer{fsync: 20 * time.Millisecond, queue: make(chan *nats.Msg, 100_000)}
	if _, err := c.nc.Subscribe(rowSubjects+">", func(m *nats.Msg) { s.queue <- m }); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { s.run(t); close(ended) }()
	const rows = 60
	var wg sync.WaitGroup
	for _, p := range publishers {
		wg.Go(func() {
			for line := 2; line < 2+rows; line++ {
				if err := p.Publish(t.Context(), chunk(line)); err != nil {
					t.Error(err)
					return
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(s.queue)
	<-ended
	received, largest := 0, 0
	for _, n := range s.batches {
		received, largest = received+n, max(largest, n)
	}
	if want := len(publishers) * rows; received != want {
		t.Errorf("%d messages, want %d: some were sent twice", received, want)
	}
	if time.Duration(largest)*s.fsync > time.Second {
		t.Errorf("%d messages in one batch", largest)
	}
}

func TestRefusalNames(t *testing.T) {
	tooManyErr := &jetstream.APIError{Code: 429, ErrorCode: 10167, Description: "too many requests"}
	for err, want := range map[error]string{
		tooManyErr:           "more messages than its disk takes",
		nats.ErrNoResponders: "does not serve the stream",
		&jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "maximum bytes exceeded"}: "queue is full",
		fmt.Errorf("other"): "refuses messages",
	} {
		log := &lines{}
		logger := slog.New(slog.NewTextHandler(log, nil))
		r := refusals{full: notice{log: logger}, other: notice{log: logger}}
		if r.add(err, 0, time.Second, true); log.count(want) != 1 {
			t.Errorf("%v: %s, want %q", err, &log.b, want)
		}
	}
}
