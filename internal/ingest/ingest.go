// Package ingest is the guarantee, alone: take a batch, store it, then
// confirm, then acknowledge.
//
// It knows no queue and no database, only what it asks of them: [Message] and
// [Store]. The tests make each of their steps fail before and after it took
// effect, and look at what is left.
package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"turnstile/internal/mta"
)

// A Message is a chunk of rows in hand, and the way to answer for it.
type Message interface {
	// Chunk is what the message carries, or the reason why it is none of ours.
	Chunk() (mta.Chunk, error)
	// Sequence is the message's place in the stream; 0 if it is a request,
	// which no queue keeps.
	Sequence() uint64
	// Body is the message as it came.
	Body() []byte
	// Confirm answers whoever asked to hear of the commit; no one did: nil.
	Confirm(answer []byte) error
	// Ack tells the queue to forget the message; no queue has it: nil.
	Ack() error
}

// A Store keeps batches. Write stores a batch in one transaction, on disk
// when it returns, and says what became of each part. After an error nothing
// of the batch is stored, or all of it is and only the answer was lost; either
// way the same batch may be written again.
type Store interface {
	Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error)
	// Idle is called once when nothing has come for a while.
	Idle(ctx context.Context) error
}

// A Commit is what one transaction did.
type Commit struct {
	Batch    *mta.Batch
	Outcomes []mta.Outcome // a part each
	Took     time.Duration // of the transaction
}

// Options are how to ingest. The zero value of a function means: do nothing.
type Options struct {
	Rows  int              // a transaction that has this many rows takes no further message
	Retry func(error) bool // says which errors of Write pass by themselves (a locked database, a full disk)
	// Committed is told of every transaction after its messages are
	// acknowledged. An error of its ends the run.
	Committed func(Commit) error
	Log       *slog.Logger
}

// idleAfter is how long nothing must come before the store is told it is idle.
const idleAfter = time.Second

// Run takes messages until the channel is closed, and has then answered for
// all it took, or returns the error that stopped it; what was in hand then is
// not acknowledged, so the queue delivers it again. After an error nobody
// reads the channel any more.
//
// Parsing and storing overlap, each on a goroutine of its own. Nothing waits
// to fill a batch: what arrives during a commit is the next one.
//
// ctx ends the work in hand as well. To stop without losing work, close the
// channel.
func Run(ctx context.Context, in <-chan Message, store Store, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan batch)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := write(ctx, batches, store, o); err != nil {
			cancel(err)
		}
	}()
	collect(ctx, in, batches, o.Rows)
	close(batches)
	<-done
	return context.Cause(ctx)
}

// A batch is what is stored in one transaction, with the messages to answer
// for. Message i is rows.Parts[i].
type batch struct {
	messages []Message
	rows     mta.Batch
	n        int // rides and rejects
	bytes    int
}

// mostBytes bounds a batch as well: a message of one long reject, or of blank
// records only, counts for next to no rows, and a locked database lets them
// come for as long as it lasts.
const mostBytes = 16 << 20

func (b *batch) full(rows int) bool { return b.n >= rows || b.bytes >= mostBytes }

// collect parses messages into a batch until the writer is free to take it.
func collect(ctx context.Context, in <-chan Message, out chan<- batch, most int) {
	parser := mta.NewParser()
	var b batch
	for in != nil || len(b.messages) > 0 {
		from, to := in, out
		if len(b.messages) == 0 {
			to = nil
		} else if b.full(most) {
			from = nil
		}
		select {
		case m, ok := <-from:
			if !ok {
				in = nil
				continue
			}
			if len(b.messages) == 0 {
				parser.Begin()
			}
			b.add(parser, m)
		case to <- b:
			b = batch{}
		case <-ctx.Done():
			return
		}
	}
}

func (b *batch) add(parser *mta.Parser, m Message) {
	part := parse(parser, m)
	b.messages = append(b.messages, m)
	b.rows.Parts = append(b.rows.Parts, part)
	b.rows.Dims = parser.Dimensions()
	b.n += len(part.Rides) + len(part.Rejects)
	b.bytes += len(m.Body()) + len(part.Columns)
}

// ForeignSource is the source that foreign messages are rejected under. The
// line of such a reject is the message's stream sequence.
const ForeignSource = mta.ReservedSource

// parse makes a part of a message. A message that is not ours becomes a
// reject, so that it is kept and yet never blocks the queue. A request that is
// not ours is refused to its sender instead, who still has it.
func parse(parser *mta.Parser, m Message) mta.Part {
	chunk, err := m.Chunk()
	if err == nil {
		return parser.Parse(chunk)
	}
	if m.Sequence() == 0 {
		return mta.Part{Source: ForeignSource}
	}
	return mta.Part{Source: ForeignSource, Rejects: []mta.Reject{{
		Line: int64(m.Sequence()), Reason: err.Error(), Record: m.Body(),
	}}}
}

// write settles batches one after the other.
func write(ctx context.Context, batches <-chan batch, store Store, o Options) error {
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return nil
			}
			if err := settle(ctx, b, store, o); err != nil {
				return err
			}
			idle.Reset(idleAfter)
		case <-idle.C:
			if err := store.Idle(ctx); err != nil {
				o.Log.Warn("checkpoint", "error", err)
			}
		}
	}
}

// settle stores a batch, then confirms it, then acknowledges it. The order is
// the whole guarantee. A crash before the commit leaves the messages in the
// queue. A crash after it delivers them again, and Write finds their rows
// already there: the sender hears so, and nothing is doubled. A confirmation
// before the commit could be a lie; an acknowledgement before it could lose
// rows; an acknowledgement before the confirmation could leave a sender
// without an answer for ever.
func settle(ctx context.Context, b batch, store Store, o Options) error {
	start := time.Now()
	outcomes, err := persist(ctx, &b.rows, store, o)
	if err != nil {
		return fmt.Errorf("ingest: store %d rows: %w", b.n, err)
	}
	took := time.Since(start)
	for i, m := range b.messages {
		if err := answer(m, outcomes[i]); err != nil {
			// The message stays in the queue and comes again, and with it the
			// answer.
			o.Log.Warn("not confirmed, will be delivered again", "sequence", m.Sequence(), "error", err)
			continue
		}
		if err := m.Ack(); err != nil {
			o.Log.Warn("not acknowledged, will be delivered again", "sequence", m.Sequence(), "error", err)
		}
	}
	if o.Committed == nil {
		return nil
	}
	return o.Committed(Commit{&b.rows, outcomes, took})
}

// answer confirms what became of a message.
func answer(m Message, outcome mta.Outcome) error {
	var reply any = outcome
	if _, err := m.Chunk(); err != nil && m.Sequence() == 0 {
		reply = map[string]string{"error": err.Error()}
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	return m.Confirm(text)
}
