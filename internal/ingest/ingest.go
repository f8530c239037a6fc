// Package ingest holds the guarantee: it stores a batch of messages in one
// transaction, then confirms them, then acknowledges them.
//
// The package knows no queue and no database. It declares what it needs of
// them: [Message] and [Store]. The tests let every step fail before and after
// it took effect, and check that no row is lost or stored twice.
package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"turnstile/internal/mta"
)

// A Message is a chunk of rows that is not acknowledged yet.
type Message interface {
	// Chunk returns the message's rows, or an error if it is a foreign message.
	Chunk() (mta.Chunk, error)
	// Mark is the message's position in the stream; zero for a request, which is
	// not in the stream.
	Mark() mta.Mark
	// Body returns the bytes as received.
	Body() []byte
	// Confirm sends the outcome to the sender, if the sender asked for it.
	Confirm(answer []byte) error
	// Ack acknowledges the message to the stream. It does nothing for a request.
	Ack() error
}

// A Store keeps batches.
type Store interface {
	// Write stores b in one transaction and returns one Outcome per part. The
	// transaction is on disk when Write returns. After an error either nothing
	// or all of b is stored. In both cases the caller may write b again.
	Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error)
	// Idle is called once after a second without a batch.
	Idle(ctx context.Context) error
}

// A Commit describes one committed transaction. A message that Run has stored
// before is left out, unless rows of it were missing: the stream redelivers what is
// not acknowledged in time, and a row must not be counted once for each delivery.
type Commit struct {
	Batch    *mta.Batch
	Outcomes []mta.Outcome // one per part
	Took     time.Duration // of the transaction
}

// Options configure Run.
type Options struct {
	Rows  int                // a batch with this many rows takes no further message
	Retry func(error) bool   // reports whether an error of Write is transient; nil: none is
	Hint  func(error) string // with Retry: what ends a transient error, for the log
	// Committed, if not nil, is called for every transaction after its messages
	// are acknowledged. Its error ends the run.
	Committed func(Commit) error
	Log       *slog.Logger
}

const (
	// idleDelay is how long no batch must arrive before Store.Idle is called.
	idleDelay = time.Second
	// retryDelay is the pause between two attempts to write a batch. It is
	// short because the store has already waited for its busy timeout.
	retryDelay = 250 * time.Millisecond
	// maxBatchBytes bounds what a batch takes in memory: the messages, the rides
	// and the rejects. The row limit does not: a message may hold one long
	// reject, only blank records, or half a million rejects.
	maxBatchBytes = 8 << 20
)

// ForeignSource is the source of rejects that hold foreign messages. Their
// line is the message's stream sequence.
const ForeignSource = mta.ReservedSource

// Run stores, confirms and acknowledges messages until the channel is closed
// and all messages taken from it are acknowledged. It returns the first error
// that stopped it. The stream then redelivers what was not acknowledged. After
// an error Run no longer receives from the channel.
//
// Parsing and storing run on one goroutine each and overlap. Run does not wait
// for a batch to fill: the messages that arrive during a commit are the next
// batch.
//
// Cancelling ctx abandons the current batch. To stop without that, close the
// channel.
func Run(ctx context.Context, in <-chan Message, store Store, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan batch)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := commitBatches(ctx, batches, store, o); err != nil {
			cancel(err)
		}
	}()
	collectBatches(ctx, in, batches, o.Rows)
	close(batches)
	<-done
	return context.Cause(ctx)
}

// An openMessage is a message that is not stored to its end. Its rows may be in
// several transactions.
type openMessage struct {
	Message
	foreign error
	size    int         // bytes of its rows, decompressed
	rest    mta.Chunk   // not parsed yet
	outcome mta.Outcome // of the parts that are stored
	reason  string      // why a record was rejected, or ""
}

// reasonNotStored is for rows that the parser accepts and the store does not.
const reasonNotStored = "differs from the stored row of its line, or is refused by a constraint of the database"

// open reads a message. A foreign message becomes a reject, so that it is kept
// and does not block the stream. A foreign request is not stored: its sender
// still has it and gets the error.
func open(m Message) *openMessage {
	o := &openMessage{Message: m}
	o.rest, o.foreign = m.Chunk()
	o.size = max(len(m.Body()), len(o.rest.Data))
	if o.foreign != nil {
		o.rest = mta.Chunk{}
	}
	return o
}

// parse returns the message's next part, of about maxSize bytes at most beside
// the message, and whether it is the last.
func (o *openMessage) parse(parser *mta.Parser, maxSize int) (part mta.Part, last bool) {
	if o.foreign == nil {
		part, o.rest = parser.ParseUpTo(o.rest, maxSize)
		return part, len(o.rest.Data) == 0
	}
	part.Source = ForeignSource
	if sequence := o.Mark().Sequence; sequence != 0 {
		part.Rejects = []mta.Reject{{Line: int64(sequence), Reason: o.foreign.Error(), Record: o.Body()}}
	}
	return part, true
}

// A batch holds the parts of one transaction. messages[i] is the message of
// rows.Parts[i], and last[i] tells whether it is that message's last part.
type batch struct {
	messages []*openMessage
	last     []bool
	rows     mta.Batch
	n        int // rides and rejects
	bytes    int
}

func (b *batch) full(rows int) bool { return b.n >= rows || b.bytes >= maxBatchBytes }

// add adds the next part of a message, and returns whether it was the last.
func (b *batch) add(parser *mta.Parser, m *openMessage) (last bool) {
	if len(b.messages) == 0 {
		parser.Begin()
	}
	b.bytes += m.size
	part, last := m.parse(parser, max(maxBatchBytes-b.bytes, minPartBytes))
	b.messages, b.last = append(b.messages, m), append(b.last, last)
	b.rows.Parts = append(b.rows.Parts, part)
	b.rows.Dims = parser.Dimensions()
	// A database whose mark includes a message must have all of it.
	if mark := m.Mark(); last && (mark.Stream != "" && mark.Stream != b.rows.Mark.Stream || mark.Sequence > b.rows.Mark.Sequence) {
		b.rows.Mark = mark
	}
	b.n += len(part.Rides) + len(part.Rejects)
	b.bytes += part.Size() + len(part.Columns)
	return last
}

// minPartBytes keeps a part from being tiny when a batch is nearly full.
const minPartBytes = 1 << 20

// collectBatches parses messages into a batch until the writer takes it.
func collectBatches(ctx context.Context, in <-chan Message, out chan<- batch, maxRows int) {
	parser := mta.NewParser()
	var b batch
	var m *openMessage // not yet parsed to its end
	for in != nil || m != nil || len(b.messages) > 0 {
		if m != nil && !b.full(maxRows) {
			if b.add(parser, m) {
				m = nil
			}
			continue
		}
		from, to := in, out
		if len(b.messages) == 0 {
			to = nil
		} else if b.full(maxRows) {
			from = nil
		}
		select {
		case next, ok := <-from:
			if ok {
				m = open(next)
			} else {
				in = nil
			}
		case to <- b:
			b = batch{}
		case <-ctx.Done():
			return
		}
	}
}

// commitBatches commits one batch after the other.
func commitBatches(ctx context.Context, batches <-chan batch, store Store, o Options) error {
	var stored mta.Mark // of the last message of the stream that is stored
	idle := time.NewTimer(idleDelay)
	defer idle.Stop()
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return nil
			}
			if err := commit(ctx, b, &stored, store, o); err != nil {
				return err
			}
			idle.Reset(idleDelay)
		case <-idle.C:
			if err := store.Idle(ctx); err != nil {
				o.Log.Warn("checkpoint", "error", err)
			}
		}
	}
}

// commit stores a batch, then confirms it, then acknowledges it. The order is
// the guarantee:
//   - Acknowledged before the commit, a crash loses the rows.
//   - Confirmed before the commit, a crash makes the confirmation false.
//   - Acknowledged before the confirmation, a crash leaves the sender without
//     an answer.
//
// A crash before the commit leaves the messages in the stream. After a crash
// behind the commit the stream redelivers them, and Write reports their rows as
// already there. The sender gets that answer, and no row is stored twice. A
// message whose rows are in several transactions is confirmed after the last.
func commit(ctx context.Context, b batch, stored *mta.Mark, store Store, o Options) error {
	start := time.Now()
	outcomes, err := writeWithRetry(ctx, &b.rows, store, o)
	if err != nil {
		return fmt.Errorf("ingest: store %d rows: %w", b.n, err)
	}
	took := time.Since(start)
	for i, m := range b.messages {
		m.outcome = m.outcome.Add(outcomes[i])
		if m.reason == "" && outcomes[i].Rejected > 0 {
			m.reason = reasonNotStored
			if rejects := b.rows.Parts[i].Rejects; len(rejects) > 0 {
				m.reason = rejects[0].Reason
			}
		}
		if !b.last[i] {
			continue // the rest of its rows is not stored yet
		}
		if err := confirm(m); err != nil {
			// Without the acknowledgement the stream redelivers the message,
			// and it is confirmed then.
			o.Log.Warn("message not confirmed; the stream will redeliver it", "sequence", m.Mark().Sequence, "error", err)
			continue
		}
		if err := m.Ack(); err != nil {
			o.Log.Warn("message not acknowledged; the stream will redeliver it", "sequence", m.Mark().Sequence, "error", err)
		}
	}
	if o.Committed == nil {
		return nil
	}
	outcomes = b.removeRepeats(outcomes, stored)
	return o.Committed(Commit{&b.rows, outcomes, took})
}

// removeRepeats removes the parts of messages that were stored before, and returns
// the outcomes of the others. stored is the position up to which all messages of the
// stream are stored.
func (b *batch) removeRepeats(outcomes []mta.Outcome, stored *mta.Mark) []mta.Outcome {
	n := 0
	for i, m := range b.messages {
		mark := m.Mark()
		repeated := mark.Sequence != 0 && mark.Stream == stored.Stream && mark.Sequence <= stored.Sequence
		if repeated && outcomes[i].Stored == 0 {
			continue
		}
		if !repeated && mark.Sequence != 0 && b.last[i] {
			*stored = mark
		}
		b.rows.Parts[n], outcomes[n] = b.rows.Parts[i], outcomes[i]
		n++
	}
	b.rows.Parts = b.rows.Parts[:n]
	return outcomes[:n]
}

// confirm sends the outcome of a message to its sender.
func confirm(m *openMessage) error {
	var reply any = struct {
		mta.Outcome
		Reason string `json:"reason,omitempty"`
	}{m.outcome, m.reason}
	if m.foreign != nil && m.Mark().Sequence == 0 {
		reply = map[string]string{"error": m.foreign.Error()}
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	return m.Confirm(text)
}

// writeWithRetry writes a batch until it is stored or the error is permanent. A
// locked database and a full disk are transient: the stream still has the
// messages. It logs the first failure and the recovery.
func writeWithRetry(ctx context.Context, b *mta.Batch, store Store, o Options) ([]mta.Outcome, error) {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		outcomes, err := store.Write(ctx, b)
		switch {
		case err == nil:
			if attempt > 1 {
				o.Log.Info("storing resumed", "after", time.Since(start).Round(time.Millisecond), "attempts", attempt)
			}
			return outcomes, nil
		case ctx.Err() != nil || o.Retry == nil || !o.Retry(err):
			return nil, err
		case attempt == 1:
			o.Log.Warn("cannot store, retrying", "error", err, "hint", o.Hint(err))
		}
		select {
		case <-time.After(retryDelay):
		case <-ctx.Done():
			return nil, err
		}
	}
}
