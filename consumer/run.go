package main

// The consumer proper: from the queue into the database, until told to stop.
// What comes in: rows from the queue, and requests past it, to one writer.
// The right to write: one process a database.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/ingest"
	"turnstile/internal/store"
	"turnstile/internal/stream"
)

const runHelp = `
consumer takes rows from the queue and writes them to SQLite, exactly once.

Usage: consumer [flags]
       consumer load FILE...     CSV files into SQLite, without a queue
       consumer verify FILE...   prove that files are stored
       consumer rejects          what could not be stored, where, why

  consumer                       until Ctrl-C, into var/turnstile.db
  consumer --until-drained       until the queue is empty
  sqlite3 var/turnstile.db 'SELECT * FROM ridership LIMIT 5'

A second consumer on the same database stands by, and takes over when the first
ends.
`

const runManual = `
A row is stored in one transaction with all that arrived beside it, on disk
(WAL, synchronous=FULL) before its message is confirmed and acknowledged. What
was stored when the consumer died is delivered again and found already there.
The result with --format json: {"stored", "already_there", "rejected",
"transactions", "seconds", "interrupted"}.
`

// stopWithin is how long the batch in hand may take to be stored once the
// consumer is told to stop. What is not stored by then stays in the queue.
const stopWithin = 1500 * time.Millisecond

type runConfig struct {
	server  *cli.Server
	db      string
	batch   int
	drained bool
	adopt   bool
	result  *cli.Result
}

func run(ctx context.Context, args []string, env cli.Env) error {
	c := runConfig{}
	f := cli.NewFlags("consumer", runHelp)
	f.Manual(runManual)
	f.StringVar(&c.db, "db", database, "the database `FILE`")
	f.BoolVar(&c.drained, "until-drained", false, "end as soon as the queue is empty")
	c.server = f.ServerFlags()
	f.IntVar(&c.batch, "batch", 20000, "a transaction that has this many `ROWS` takes no further message")
	f.BoolVar(&c.adopt, "adopt", false, "take over the queue of another database, whose rows are not in this one; or of this one, if it was moved")
	c.result = f.ResultFlags("text", "json")
	f.Advanced("batch", "adopt", "format", "output")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := errors.Join(f.NoArgs(), c.result.Check(), checkBatch(c.batch)); err != nil {
		return err
	}
	t, err := consume(ctx, c, cli.Logger(env, f.Verbose()))
	if err != nil && ctx.Err() == nil {
		return err
	}
	t.Interrupted = ctx.Err() != nil
	return c.result.Write(env, func(w io.Writer, _ bool) error {
		if c.result.Format == "json" {
			return cli.WriteJSON(w, t.total)
		}
		_, err := fmt.Fprintf(w, "%s rows stored, %s already there, %s rejected\n", count(t.Stored), count(t.AlreadyThere), count(t.Rejected))
		return err
	})
}

// consume connects, becomes the writer, and ingests until it is told to stop.
// An interrupted wait for the broker or for the lock is no error of ours: the
// caller looks at ctx.
func consume(ctx context.Context, c runConfig, log *slog.Logger) (t *tally, err error) {
	t = newTally(log)
	host, err := os.Hostname()
	if err != nil {
		return t, err
	}
	if err := store.CheckPath(c.db); err != nil {
		return t, err
	}
	conn, err := stream.Connect(ctx, stream.Config{
		Servers: c.server.URLs, Role: "consumer", Name: fmt.Sprintf("turnstile consumer %s/%d", host, os.Getpid()),
		Creds: c.server.Creds, User: c.server.User, Password: c.server.Password, PasswordFile: c.server.PasswordFile,
		CA: c.server.CA, Cert: c.server.Cert, Key: c.server.Key, Log: log,
	})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	db, err := openWriter(ctx, c.db, log)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	reader, err := conn.Reader(ctx, stream.ReaderOptions{DatabaseID: db.ID(), Path: db.Path(), Adopt: c.adopt, Batch: c.batch})
	if err != nil {
		return t, err
	}
	requests, err := conn.Requests()
	if err != nil {
		return t, errors.Join(err, reader.Close())
	}
	if db.waited {
		log.Info("took over from the writer before", "after", time.Since(db.since))
	}
	log.Info("storing", "db", c.db, "server", conn.URL())
	return t, ingestAll(ctx, c, &intake{reader: reader, requests: requests}, db, t, log)
}

// ingestAll stores what comes in until ctx ends or, if asked, the queue is
// drained. The batch in hand is finished.
func ingestAll(ctx context.Context, c runConfig, in *intake, db *writer, t *tally, log *slog.Logger) error {
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	messages := in.start(taking, stopTaking)
	if c.drained {
		go endWhenDrained(taking, in.reader, stopTaking, log)
	}

	working, giveUp := finishing(ctx)
	defer giveUp()
	err := ingest.Run(working, messages, db, ingest.Options{
		Rows: c.batch, Log: log, Retry: store.IsTransient,
		Committed: func(commit ingest.Commit) error { t.add(commit); return nil },
	})
	stopTaking()
	t.flush()
	if err != nil && ctx.Err() != nil { // told to stop: it is no error of ours, but no secret either
		log.Warn("what was in hand is not stored, and stays in the queue", "error", err)
	}
	return errors.Join(err, in.close())
}

// finishing outlives ctx by the time that the batch in hand may take.
func finishing(ctx context.Context) (working context.Context, stop func()) {
	working, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, giveUp) })
	return working, func() { unhook(); giveUp() }
}

// drainedEvery is how often an empty queue is asked for. It costs one request.
const drainedEvery = 20 * time.Millisecond

// endWhenDrained stops the taking as soon as the stream has nothing that is
// not stored and acknowledged.
func endWhenDrained(ctx context.Context, reader *stream.Reader, stop func(), log *slog.Logger) {
	tick := time.NewTicker(drainedEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		drained, err := reader.Drained(ctx)
		if drained {
			stop()
			return
		}
		if err != nil && ctx.Err() == nil {
			log.Debug("ask whether the queue is empty", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// An intake takes messages from the queue and requests from their senders.
type intake struct {
	reader   *stream.Reader
	requests *stream.Requests

	wg  sync.WaitGroup
	mu  sync.Mutex // guards err
	err error
}

// start hands on what comes until ctx ends, and closes the channel then. An
// error that ends one of the two ends both, through stop.
func (n *intake) start(ctx context.Context, stop func()) <-chan ingest.Message {
	messages := make(chan ingest.Message)
	take := func(next func(context.Context) (*stream.Delivery, error)) {
		if err := pump(ctx, next, messages); err != nil {
			n.mu.Lock()
			n.err = errors.Join(n.err, err)
			n.mu.Unlock()
			stop()
		}
	}
	n.wg.Go(func() { take(n.reader.Next) })
	n.wg.Go(func() { take(n.requests.Next) })
	go func() {
		n.wg.Wait()
		close(messages)
	}()
	return messages
}

func pump(ctx context.Context, next func(context.Context) (*stream.Delivery, error), messages chan<- ingest.Message) error {
	for {
		m, err := next(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return m.Nak() // or the next writer would wait for it
		}
	}
}

// close gives back what was fetched and not taken. The context given to start
// must have ended.
func (n *intake) close() error {
	n.wg.Wait()
	return errors.Join(n.err, n.requests.Close(), n.reader.Close())
}

// A writer is an open database and the lock that makes it ours alone.
type writer struct {
	*store.DB
	lock   *store.WriterLock
	waited bool      // another writer was there first
	since  time.Time // when the lock became ours
}

// openWriter takes the writer's lock, waiting for as long as another process
// has it, and then opens the database. In this order: who opens the database
// without the lock could write beside the other.
func openWriter(ctx context.Context, path string, log *slog.Logger) (*writer, error) {
	w := &writer{}
	lock, err := store.Lock(ctx, path, func() {
		w.waited = true
		log.Info("another process writes to this database; standing by", "db", path)
	})
	if err != nil {
		return nil, err
	}
	w.lock, w.since = lock, time.Now()
	if w.DB, err = store.Open(ctx, path, store.Options{Log: log, Warn: func(err error) { log.Warn(err.Error(), "hint", warningHint(err)) }}); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return w, nil
}

// Close closes the database and then gives up the lock: the next writer must
// not open it before.
func (w *writer) Close() error { return errors.Join(w.DB.Close(), w.lock.Unlock()) }

func warningHint(err error) string {
	if w, ok := errors.AsType[*store.PinnedWALError](err); ok {
		return "which process it is: contention watch " + w.Path
	}
	if _, ok := errors.AsType[*store.DiffersError](err); ok {
		return "another data set needs a name of its own: --source NAME"
	}
	return ""
}
