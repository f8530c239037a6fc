package ingest

// Every step of the guarantee fails here before and after it took effect, as an
// error and as a crash. In each case every row is stored once, no message is
// confirmed before its rows are committed, and none is acknowledged before it
// is confirmed.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"turnstile/internal/mta"
)

const columns = "transit_timestamp,station_complex_id,ridership"

// A world is a queue, a store and a sender that outlive the process, and one
// injected fault.
type world struct {
	t         *testing.T
	queue     []*message // not acknowledged, in order
	rows      map[string]string
	confirmed map[uint64]string
	fault     fault
	crash     context.CancelFunc // ends the process in which the fault strikes
	writes    int
}

type fault struct {
	step     string // write, confirm or ack
	after    bool   // the step took effect; only its result was lost
	crash    bool   // the process ends there
	spent    bool
	numberOf int // the call of the step that fails, from 1
	calls    int
}

var errInjected = errors.New("injected")

// strike runs a step and injects the fault.
func (w *world) strike(step string, effect func()) error {
	f := &w.fault
	if f.step != step || f.spent {
		effect()
		return nil
	}
	if f.calls++; f.calls < f.numberOf {
		effect()
		return nil
	}
	f.spent = true
	if f.after {
		effect()
	}
	if f.crash {
		w.crash()
	}
	return errInjected
}

func (w *world) Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	outcomes := make([]mta.Outcome, len(b.Parts))
	err := w.strike("write", func() {
		w.writes++
		for i, p := range b.Parts {
			for _, r := range p.Rides {
				key := fmt.Sprint(p.Source, ":", r.Line)
				if _, there := w.rows[key]; there {
					outcomes[i].AlreadyThere++
				} else {
					outcomes[i].Stored++
				}
				w.rows[key] = string(r.Raw)
			}
			for _, r := range p.Rejects {
				w.rows[fmt.Sprint(p.Source, ":", r.Line, ":reject")] = string(r.Record)
				outcomes[i].Rejected++
			}
		}
	})
	return outcomes, err
}

func (w *world) Idle(context.Context) error { return nil }

type message struct {
	w    *world
	seq  uint64
	body string
}

func (m *message) Mark() mta.Mark { return mta.Mark{Sequence: m.seq} }
func (m *message) Body() []byte   { return []byte(m.body) }

func (m *message) Chunk() (mta.Chunk, error) {
	if !strings.HasPrefix(m.body, "2023") {
		return mta.Chunk{}, errors.New("no Turnstile-Source header")
	}
	return mta.Chunk{Source: "f", Columns: columns, Line: int64(m.seq) + 1, Data: []byte(m.body)}, nil
}

func (m *message) committed() bool {
	for _, suffix := range []string{"", ":reject"} {
		for _, source := range []string{fmt.Sprint("f:", m.seq+1), fmt.Sprint(ForeignSource, ":", m.seq)} {
			if _, ok := m.w.rows[source+suffix]; ok {
				return true
			}
		}
	}
	return false
}

func (m *message) Confirm(answer []byte) error {
	return m.w.strike("confirm", func() {
		if !m.committed() {
			m.w.t.Errorf("message %d is confirmed before its row is committed", m.seq)
		}
		m.w.confirmed[m.seq] = string(answer)
	})
}

func (m *message) Ack() error {
	return m.w.strike("ack", func() {
		if !m.committed() {
			m.w.t.Errorf("message %d is acknowledged before its row is committed", m.seq)
		}
		if m.w.confirmed[m.seq] == "" {
			m.w.t.Errorf("message %d is acknowledged before it is confirmed", m.seq)
		}
		for i, q := range m.w.queue {
			if q == m {
				m.w.queue = append(m.w.queue[:i:i], m.w.queue[i+1:]...)
				return
			}
		}
		m.w.t.Errorf("message %d is acknowledged twice", m.seq)
	})
}

// process is one run of a consumer. It receives the messages of the queue.
func (w *world) process() error {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.crash = cancel
	in := make(chan Message, len(w.queue))
	for _, m := range w.queue {
		in <- m
	}
	close(in)
	return Run(ctx, in, w, Options{Rows: 2, Log: slog.New(slog.DiscardHandler)})
}

func newWorld(t *testing.T, f fault) *world {
	w := &world{t: t, rows: map[string]string{}, confirmed: map[uint64]string{}, fault: f}
	for seq := range uint64(5) {
		body := fmt.Sprintf("2023-03-31T17:00:00.000,%d,4\n", seq)
		if seq == 2 {
			body = "garbage"
		}
		w.queue = append(w.queue, &message{w, seq + 1, body})
	}
	return w
}

func TestEveryStepFailsTwice(t *testing.T) {
	for _, step := range []string{"none", "write", "confirm", "ack"} {
		for _, after := range []bool{false, true} {
			for _, crash := range []bool{false, true} {
				for number := 1; number <= 3; number++ {
					f := fault{step: step, after: after, crash: crash, numberOf: number}
					name := fmt.Sprintf("%s after=%v crash=%v call=%d", step, after, crash, number)
					t.Run(name, func(t *testing.T) { surviveFault(t, f) })
				}
			}
		}
	}
}

func surviveFault(t *testing.T, f fault) {
	w := newWorld(t, f)
	for life := 0; len(w.queue) > 0; life++ {
		if life == 3 {
			t.Fatalf("%d messages are left after %d lives", len(w.queue), life)
		}
		err := w.process()
		if err != nil && !errors.Is(err, errInjected) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if len(w.rows) != 5 {
		t.Errorf("the store has %d rows, want 5: %v", len(w.rows), w.rows)
	}
	if w.rows[ForeignSource+":3:reject"] != "garbage" {
		t.Errorf("the foreign message is not kept: %v", w.rows)
	}
	for seq := uint64(1); seq <= 5; seq++ {
		if w.confirmed[seq] == "" {
			t.Errorf("message %d was never confirmed", seq)
		}
	}
	if f.step != "none" && !w.fault.spent && f.numberOf == 1 {
		t.Error("the fault never struck")
	}
}

// A transient error does not end the run: the batch is written again.
func TestRetry(t *testing.T) {
	w := newWorld(t, fault{step: "write", numberOf: 1})
	in := make(chan Message, len(w.queue))
	for _, m := range w.queue {
		in <- m
	}
	close(in)
	err := Run(t.Context(), in, w, Options{
		Rows: 100, Log: slog.New(slog.DiscardHandler),
		Retry: func(err error) bool { return errors.Is(err, errInjected) },
		Hint:  func(error) string { return "" },
	})
	if err != nil || len(w.rows) != 5 || len(w.queue) != 0 {
		t.Errorf("error %v, %d rows, %d messages left", err, len(w.rows), len(w.queue))
	}
}

// A message that comes again, because its acknowledgement took too long, is not
// counted again. A row that is gone in between is.
func TestRepeatsAreNotCounted(t *testing.T) {
	w := newWorld(t, fault{})
	bodies := w.queue
	for _, rows := range []int{1, 3, 100} {
		clear(w.rows)
		in := make(chan Message, 20)
		for _, seq := range []int{1, 2, 3, 1, 2, 4, 3, 3, 5, 1, 2, 0} {
			m := message{w, 0, bodies[0].body} // 0 is a request, which has no place in the stream
			if seq > 0 {
				m = *bodies[seq-1]
			}
			in <- &request{message: m}
		}
		close(in)
		var total mta.Outcome
		rejects, sent := 0, 0
		err := Run(t.Context(), in, w, Options{
			Rows: rows, Log: slog.New(slog.DiscardHandler),
			Committed: func(c Commit) error {
				for i, o := range c.Outcomes {
					total = total.Add(o)
					rejects += len(c.Batch.Parts[i].Rejects)
				}
				if sent += len(c.Outcomes); rows == 1 && sent == 5 {
					delete(w.rows, "f:2")
				}
				return nil
			},
		})
		want := mta.Outcome{Stored: 5, Rejected: 1}
		if rows == 1 {
			want.Stored++
		}
		if err != nil || total != want || rejects != 1 {
			t.Errorf("%d rows a batch: error %v, counted %+v with %d rejects, want %+v with 1", rows, err, total, rejects, want)
		}
	}
}

// The messages that arrive during a commit are the next batch, up to its limit.
func TestBatching(t *testing.T) {
	in := make(chan Message)
	entered, release := make(chan int, 10), make(chan struct{})
	s := storeFunc(func(b *mta.Batch) { entered <- len(b.Parts); <-release })
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), in, s, Options{Rows: 3, Log: slog.New(slog.DiscardHandler)}) }()
	row := &request{message: message{body: "2023-03-31T17:00:00.000,1,4\n"}}
	send := func(n int) {
		for range n {
			in <- row
		}
	}
	send(1)
	if n := <-entered; n != 1 {
		t.Fatalf("an idle writer waits for nothing: first batch has %d parts, want 1", n)
	}
	send(3) // all taken while the first commit goes on; a fourth would block
	select {
	case in <- row:
		t.Fatal("a full batch takes no more")
	case <-time.After(20 * time.Millisecond):
	}
	close(in)
	close(release)
	if n := <-entered; n != 3 {
		t.Fatalf("second batch has %d parts, want 3", n)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Messages without rows fill a batch as well.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	in := make(chan Message)
	entered, release := make(chan int, 10), make(chan struct{})
	s := storeFunc(func(b *mta.Batch) { entered <- len(b.Parts); <-release })
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), in, s, Options{Rows: 1000, Log: slog.New(slog.DiscardHandler)}) }()
	blank := &request{message: message{body: strings.Repeat("\n", maxBatchBytes/2)}}
	in <- blank // this goes to the writer, two more fill the next batch
	first := <-entered
	for range 2 {
		in <- blank
	}
	select {
	case in <- blank:
		t.Error("a full batch takes no more")
	case <-time.After(20 * time.Millisecond):
	}
	close(in)
	close(release)
	if second := <-entered; first != 1 || second != 2 {
		t.Errorf("batches of %d and %d parts, want 1 and 2", first, second)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A foreign request is answered with an error and is not stored.
func TestForeignRequest(t *testing.T) {
	w := newWorld(t, fault{})
	r := &request{message: message{w, 0, "garbage"}}
	in := make(chan Message, 1)
	in <- r
	close(in)
	if err := Run(t.Context(), in, w, Options{Rows: 1, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if want := `{"error":"no Turnstile-Source header"}`; r.answer != want || len(w.rows) != 0 {
		t.Errorf("answer %s, want %s; rows %v, want none", r.answer, want, w.rows)
	}
}

type request struct {
	message
	answer string
}

func (r *request) Confirm(answer []byte) error { r.answer = string(answer); return nil }
func (r *request) Ack() error                  { return nil }

type storeFunc func(*mta.Batch)

func (f storeFunc) Write(_ context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	f(b)
	return make([]mta.Outcome, len(b.Parts)), nil
}
func (f storeFunc) Idle(context.Context) error { return nil }

// A bulk is a message of many rejects, and the store that gets it in parts.
type bulk struct {
	t       *testing.T
	mark    mta.Mark
	lines   int
	stored  map[int64]bool
	writes  int
	failAt  int // the write that fails, from 1
	crash   context.CancelFunc
	answers []string
	acks    int
}

func (b *bulk) Chunk() (mta.Chunk, error) {
	c := mta.Chunk{Source: "f", Columns: columns, Line: 2}
	for i := range b.lines {
		c.Data = fmt.Appendf(c.Data, "%d\n", i)
	}
	return c, nil
}

func (b *bulk) Mark() mta.Mark { return mta.Mark{Stream: "s", Sequence: 7} }
func (b *bulk) Body() []byte   { return nil }

func (b *bulk) Confirm(answer []byte) error {
	b.complete("confirmed")
	b.answers = append(b.answers, string(answer))
	return nil
}

func (b *bulk) Ack() error {
	b.complete("acknowledged")
	b.acks++
	return nil
}

func (b *bulk) complete(what string) {
	if len(b.stored) != b.lines || b.mark.Sequence != 7 {
		b.t.Errorf("%s with %d of %d lines stored, and the mark %v", what, len(b.stored), b.lines, b.mark)
	}
}

func (b *bulk) Write(_ context.Context, batch *mta.Batch) ([]mta.Outcome, error) {
	if b.writes++; b.writes == b.failAt {
		b.crash()
		return nil, errInjected
	}
	outcomes := make([]mta.Outcome, len(batch.Parts))
	size := 0
	for i, p := range batch.Parts {
		size += p.Size()
		for _, r := range p.Rejects {
			b.stored[r.Line] = true
			outcomes[i].Rejected++
		}
	}
	if size > 2*maxBatchBytes {
		b.t.Errorf("a batch takes %d bytes", size)
	}
	if batch.Mark != (mta.Mark{}) {
		b.mark = batch.Mark
		b.complete("marked as stored")
	}
	return outcomes, nil
}

func (b *bulk) Idle(context.Context) error { return nil }

// A message that takes much memory is stored in several transactions. It is
// confirmed and acknowledged, and the mark is raised, with the last. After a
// crash in between, it comes again as a whole.
func TestMessageOverSeveralTransactions(t *testing.T) {
	b := &bulk{t: t, lines: 200_000, stored: map[int64]bool{}, failAt: 3}
	for life := 0; b.acks == 0; life++ {
		if life == 2 {
			t.Fatal("not acknowledged after a crash")
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.crash = cancel
		in := make(chan Message, 1)
		in <- b
		close(in)
		err := Run(ctx, in, b, Options{Rows: 20_000, Log: slog.New(slog.DiscardHandler)})
		cancel()
		if err != nil && !errors.Is(err, errInjected) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if b.writes < 5 || b.acks != 1 || len(b.answers) != 1 || b.answers[0] != `{"stored":0,"already_there":0,"rejected":200000,"reason":"it has 1 field, want 3 as in the header"}` {
		t.Errorf("%d transactions, %d acknowledgements, answers %s", b.writes, b.acks, b.answers)
	}
}
