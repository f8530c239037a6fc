package stream

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
	"turnstile/internal/natsd"
)

// A heard collects the summaries of a viewer.
type heard struct {
	mu   sync.Mutex
	acks []AckSummary
	all  []any
	errs []error
}

func (h *heard) add(summary any, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.errs = append(h.errs, err)
		return
	}
	h.all = append(h.all, summary)
	if a, ok := summary.(AckSummary); ok {
		h.acks = append(h.acks, a)
	}
}

func (h *heard) has(ok func(summary any) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, summary := range h.all {
		if ok(summary) {
			return true
		}
	}
	return false
}

func view(t *testing.T, c *Conn) *heard {
	t.Helper()
	h := &heard{}
	v, err := c.View(h.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// With the passwords of their roles, a viewer hears who stands by, who writes, and
// what the broker has acknowledged.
func TestViewerHearsSummaries(t *testing.T) {
	t.Parallel()
	b, credentials := fortress(t, natsd.TLS{})
	dial := func(role string) *Conn {
		c, err := Connect(t.Context(), login(b, credentials, role, role))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.nc.Close() })
		return c
	}
	page, producer, consumer := dial("page"), dial("producer"), dial("consumer")
	h := view(t, page)

	standby, err := consumer.AnnounceStandby("host/2")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the standby is heard", func() bool {
		return h.has(func(s any) bool { return s == StandbyNotice{SummaryVersion, "host/2"} })
	})
	var commits atomic.Int64
	writer, err := consumer.AnnounceCommits(func() bool { return commits.Load() > 0 }, func() CommitSummary {
		n := int(commits.Swap(0))
		return CommitSummary{Version: SummaryVersion, Writer: "host/1", Transactions: n, To: mta.Inserted{Rides: int64(n)}}
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the writer is heard before it commits", func() bool {
		return h.has(func(s any) bool { c, ok := s.(CommitSummary); return ok && c.Writer == "host/1" && c.Transactions == 0 })
	})
	commits.Store(3)
	until(t, "its commits are heard", func() bool {
		return h.has(func(s any) bool { c, ok := s.(CommitSummary); return ok && c.Transactions == 3 && c.To.Rides == 3 })
	})

	p := publisher(t, producer, PublisherOptions{})
	acks, err := producer.AnnounceAcks("host/3", p)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2, 11)
	flush(t, p)
	until(t, "acknowledged rows are heard", func() bool {
		return h.has(func(s any) bool {
			a, ok := s.(AckSummary)
			return ok && a.Producer == "host/3" && a.Rows == 10 && a.Messages == 10 && a.Source == "a.csv" && a.Read == 11 && a.Line == 11 && !a.Ended
		})
	})
	for _, a := range []*Announcer{standby, writer, acks} {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "the producer's end is heard", func() bool {
		return h.has(func(s any) bool { a, ok := s.(AckSummary); return ok && a.Ended && a.Rows == 10 })
	})
	for _, c := range []*Conn{page, producer, consumer} {
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	}
	if q, err := page.Queue(t.Context()); err != nil || q.Messages != 10 || q.Bytes == 0 || q.MaxBytes == 0 {
		t.Errorf("the queue: %+v (%v), want 10 messages", q, err)
	}
}

// Without a viewer nothing is collected and nothing published, but for a producer's
// last summary.
func TestNoViewerNoSummaries(t *testing.T) {
	b := startBroker(t, 64<<20)
	c, _ := connect(t, b)
	listener := raw(t, b)
	sub, err := listener.SubscribeSync(summarySubjects + "*")
	if err := errors.Join(err, listener.Flush()); err != nil {
		t.Fatal(err)
	}
	taken := atomic.Int64{}
	writer, err := c.AnnounceCommits(func() bool { return true }, func() CommitSummary { taken.Add(1); return CommitSummary{} })
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, c, PublisherOptions{})
	acks, err := c.AnnounceAcks("host/3", p)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2, 3)
	flush(t, p)
	if writer.Watched() || taken.Load() != 0 {
		t.Errorf("watched: %v, taken %d times", writer.Watched(), taken.Load())
	}
	if err := acks.Close(); err != nil {
		t.Error(err)
	}
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	last, err := decodeSummary(m.Subject, m.Data)
	if a, ok := last.(AckSummary); err != nil || !ok || !a.Ended || a.Rows != 2 {
		t.Errorf("the first message is %s (%v), want the producer's last summary", m.Data, err)
	}
	if err := writer.Close(); err != nil {
		t.Error(err)
	}
}

// A broker that knows no summaries, because it is of an earlier version or has users of
// its own, refuses their subjects. That must not end a producer or a consumer.
func TestRefusedSummaries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.conf")
	const users = `authorization { users = [ { user: old, password: old, permissions: {
		publish: ["mta.ridership.>", "$JS.API.STREAM.INFO.MTA"], subscribe: ["_INBOX_producer.>"] } },
		{ user: all, password: all } ] }`
	if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := natsd.Start(natsd.Config{
		File: file, Listen: "127.0.0.1:0", Store: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	all, err := nats.Connect(s.URL(), nats.UserInfo("all", "all"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if err := Ensure(t.Context(), all, 64<<20, 1); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(t.Context(), Config{Servers: s.URL(), Role: "producer", User: "old", Password: "old", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.nc.Close()
	p := publisher(t, c, PublisherOptions{})
	acks, err := c.AnnounceAcks("host/3", p)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2, 11)
	flush(t, p)
	if err := acks.Close(); err != nil {
		t.Error(err)
	}
	if err := c.nc.FlushTimeout(patience); err != nil { // errors come before the answer
		t.Error(err)
	}
	if err := c.Err(); err != nil || c.nc.LastError() == nil {
		t.Errorf("the connection ends with %v, and its last error is %v; want it alive and refused", err, c.nc.LastError())
	}
}

// A page that logs in as somebody else is told so, and does not show a stream of nothing.
func TestViewerNeedsItsRole(t *testing.T) {
	b, credentials := fortress(t, natsd.TLS{})
	c, err := Connect(t.Context(), login(b, credentials, "producer", "page"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.nc.Close()
	view(t, c)
	until(t, "the connection ends", func() bool { return c.Err() != nil })
	if _, ok := errors.AsType[*RightsError](c.Err()); !ok {
		t.Errorf("the connection ends with %v, want a RightsError", c.Err())
	}
}

// What is no summary is an error, and nothing else.
func TestMalformedSummaries(t *testing.T) {
	for text, subject := range map[string]string{
		"{":                           commitSummaries,
		`{"version":99}`:              commitSummaries,
		`{"version":1,"from":"many"}`: commitSummaries,
		`{"version":1,"rows":"many"}`: ackSummaries,
		`{"version":1}`:               summarySubjects + "others",
		`{"version":1,"busy":1e308}`:  commitSummaries, // twice of it is infinite, which JSON does not have
		`{"version":1,"latest":[{"hour":9223372036854775807}]}`:                      commitSummaries, // no hour follows it
		`{"version":1,"hours":{"hours":[-9223372036854775808],"riders":[1]}}`:        commitSummaries,
		`{"version":1,"stations":{"ids":["` + strings.Repeat("x", 1<<10) + `"]}}`:    commitSummaries,
		`{"version":1,"lines":[{"source":"` + strings.Repeat("x", 1<<10) + `"}]}`:    commitSummaries,
		`{"version":1,"producer":"` + strings.Repeat("x", 1<<10) + `","source":"a"}`: ackSummaries,
		`{"version":1,"name":"` + strings.Repeat("x", 8<<10) + `"}`:                  standbyNotices,
	} {
		if s, err := decodeSummary(subject, []byte(text)); err == nil {
			t.Errorf("%s %s: %+v, want an error", subject, text, s)
		}
	}
}
