package main

// The queue: its size limit, what the log says of it, and whether it can take a row.

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

// streamShare is the fraction of the store that the stream may use. The server
// needs the rest for its own files.
const streamShare = 0.9

// ensureTimeout bounds the creation of the stream at start. A full store takes
// several seconds to load.
const ensureTimeout = 30 * time.Second

// A queue is the stream of this broker.
type queue struct {
	ctx   context.Context
	log   *slog.Logger
	limit int64 // of the stream in bytes, as last reported; 0: not known yet

	unwell, full natsd.Notice

	logged facts // in the last line
	next   time.Time
}

// facts are what the broker says of its queue now and then.
type facts struct {
	messages, bytes      uint64
	producers, consumers int
}

// logEvery is the least time between two lines about the queue.
const logEvery = 30 * time.Second

// unwellAfter is longer than the election of a leader takes, at the start of a cluster
// and when a broker stops.
const unwellAfter = 5 * time.Second

func newQueue(ctx context.Context, log *slog.Logger) *queue {
	return &queue{
		ctx: ctx, log: log,
		unwell: natsd.Notice{Log: log, Began: "the broker is not healthy", Ended: "the broker is healthy again", After: unwellAfter},
		full:   natsd.Notice{Log: log, Began: "the queue takes no rows, producers wait", Ended: "the queue takes rows again"},
	}
}

// maintain creates the stream of a standalone broker, over an in-process connection, so
// that no client needs permission to create streams. It keeps the size limit of the
// stream within the space of the disk.
func (q *queue) maintain(s *natsd.Server) error {
	nc, err := s.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	room, err := s.Room()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.ctx, ensureTimeout)
	defer cancel()
	want := int64(float64(s.MaxStore()) * streamShare)
	limit, err := stream.Fit(ctx, nc, want, room)
	if err != nil {
		return err
	}
	q.reportLimit(limit, want)
	return nil
}

// reportLimit logs a limit that is not what the operator asked for, when it begins and
// ends, and when it has halved or doubled.
func (q *queue) reportLimit(limit, want int64) {
	before := cmp.Or(q.limit, want)
	q.limit = cmp.Or(q.limit, limit)
	if limit == before || limit != want && before != want && limit > before/2 && limit < before*2 {
		return
	}
	if q.limit = limit; limit == want {
		q.log.Info("the queue may have its full size again", "limit", humanize.IBytes(uint64(want)))
		return
	}
	q.log.Warn("the disk has less space than --max-store: the queue is full before it reaches that size",
		"limit", humanize.IBytes(uint64(limit)), "wanted", humanize.IBytes(uint64(want)))
}

// observe logs the health of the broker and the state of the queue. In a cluster only
// the server that leads the stream says what is in it.
func (q *queue) observe(s *natsd.Server) {
	now := time.Now()
	q.unwell.Report(s.Health(), now)
	held, err := s.Queue(stream.Name)
	if err != nil || !held.Leads {
		return // an error is one of health, or the stream is elsewhere
	}
	q.full.Report(checkRoom(held), now)
	q.reportFacts(s, held, now)
}

// reportFacts logs what is queued and who is connected, if it has changed.
func (q *queue) reportFacts(s *natsd.Server, held natsd.Queue, now time.Time) {
	if now.Before(q.next) {
		return
	}
	f := facts{messages: held.Messages, bytes: held.Bytes}
	for _, name := range s.Clients() {
		switch {
		case strings.HasPrefix(name, "turnstile producer "):
			f.producers++
		case strings.HasPrefix(name, "turnstile consumer "):
			f.consumers++
		}
	}
	if f == q.logged {
		return
	}
	q.logged, q.next = f, now.Add(logEvery)
	line := []any{"messages", f.messages, "bytes", humanize.IBytes(f.bytes), "oldest", held.Oldest.Round(time.Millisecond)}
	if held.MaxBytes > 0 {
		line = append(line, "full", fmt.Sprintf("%.0f%%", 100*float64(f.bytes)/float64(held.MaxBytes)))
	}
	if !held.Clustered { // the clients of the other servers are not known
		line = append(line, "producers", f.producers, "consumers", f.consumers)
	}
	q.log.Info("queue", line...)
}

// stopped logs what waits in the queue while the broker does not run.
func (q *queue) stopped(s *natsd.Server) {
	line := []any{"store", s.Store()}
	if held, err := s.Queue(stream.Name); err == nil {
		line = append(line, "messages", held.Messages, "bytes", humanize.IBytes(held.Bytes))
	}
	q.log.Info("stopped", line...)
}

// A fullError reports that the queue can't take a row.
type fullError struct {
	natsd.Queue
	disk bool   // the disk, not --max-store, limits the queue
	url  string // of the broker, or "" if it is not known
}

func (e *fullError) Error() string {
	holds := fmt.Sprintf("%s messages, %s", humanize.Comma(int64(e.Messages)), humanize.IBytes(e.Bytes))
	if e.disk {
		return fmt.Sprintf("the disk under the queue has no room for more rows: the queue holds %s", holds)
	}
	return fmt.Sprintf("the queue is full: %s of %s", holds, humanize.IBytes(uint64(e.MaxBytes)))
}

// largest is the size of the largest message in the store, and a little more.
const largest = 1 << 20

// checkRoom returns a [*fullError] if the queue has no room for the largest message. A
// small queue is full if it has no room for a message as large as those in it, and for a
// tenth of its limit.
func checkRoom(q natsd.Queue) error {
	if q.MaxBytes <= 0 {
		return nil
	}
	disk, need := stream.LimitedByDisk(q.Metadata), int64(largest)
	if !disk {
		need = min(need, q.MaxBytes/10+int64(q.Bytes/max(q.Messages, 1)))
	}
	if q.MaxBytes-int64(q.Bytes) >= need {
		return nil
	}
	return &fullError{Queue: q, disk: disk}
}
