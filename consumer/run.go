package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
       consumer load FILE...     write CSV files to SQLite, without a queue
       consumer verify FILE...   compare files with the database
       consumer rejects          list the rows that could not be stored
       consumer query SQL        run a SELECT on the database
       consumer page             show the stream in a browser, on a map
       consumer healthcheck      ask whether a consumer runs (exit status)

  consumer                       until Ctrl-C, into var/turnstile.db
  consumer --until-drained       until the queue is empty
  consumer query "SELECT * FROM ridership LIMIT 5"

A second consumer of the same database is a hot standby. It takes over when the
first one ends.
`

const runManual = `
All rows that have arrived are stored in one transaction. The consumer confirms
and acknowledges their messages after the commit is on disk (WAL,
synchronous=FULL). After a crash, messages that were not acknowledged are
redelivered, and rows that are stored already count as already_there. A message
that comes again in the same run, as after a long lock, is not counted again.
The result with --format json: {"stored", "already_there", "rejected",
"transactions", "seconds", "interrupted"}.
`

// stopTimeout is how long the last batch may take once the consumer is told to
// stop. Messages that are not stored by then stay in the queue.
const stopTimeout = 1500 * time.Millisecond

type runConfig struct {
	server  *cli.Server
	db      string
	batch   int
	drained bool
	adopt   bool
	http    string   // address for health and metrics; "": none
	hosts   []string // names under which other machines may ask there
	result  *cli.Result
}

func run(ctx context.Context, args []string, env cli.Env) error {
	c := runConfig{}
	f := cli.NewFlags("consumer", runHelp)
	f.Manual(runManual)
	f.StringVar(&c.db, "db", defaultDatabase, "the database `FILE`")
	f.BoolVar(&c.drained, "until-drained", false, "exit when the queue is empty")
	c.server = f.ServerFlags()
	f.IntVar(&c.batch, "batch", 20000, "add no message to a transaction that has this many `ROWS`")
	f.BoolVar(&c.adopt, "adopt", false, "take over the queue of another database, or of this one after a move; rows stored there are not copied into this database")
	f.StringVar(&c.http, "http", "", "serve /metrics, /healthz and /readyz on `ADDRESS`, such as 127.0.0.1:8092")
	f.StringSliceVar(&c.hosts, "http-host", nil, "let other machines ask there, under this `NAME` of this one")
	c.result = f.ResultFlags("text", "json")
	f.Advanced("batch", "adopt", "http-host", "format", "output")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := errors.Join(f.NoArgs(), c.result.Check(), checkBatch(c.batch)); err != nil {
		return err
	}
	if c.http == "" && len(c.hosts) > 0 {
		return cli.Usagef("add --http 0.0.0.0:8092", "--http-host is for --http")
	}
	commits, err := consume(ctx, c, f.Logger(env))
	if err != nil && ctx.Err() == nil {
		return err
	}
	commits.Interrupted, err = ctx.Err() != nil, nil
	if commits.Interrupted && c.drained {
		err = cli.ErrInterrupted
	}
	return errors.Join(c.result.Write(env, func(w io.Writer, _ bool) error {
		if c.result.Format == "json" {
			return cli.WriteJSON(w, commits.runTotals)
		}
		return cli.WriteText(w, fmt.Sprintf("%s stored, %s already there, %s rejected\n",
			countOf(commits.Stored, "row"), formatCount(commits.AlreadyThere), formatCount(commits.Rejected)))
	}), err)
}

// consume connects, becomes the writer, and ingests until it is told to stop.
// If ctx ends while it waits for the broker or the lock, it returns an error;
// the caller checks ctx.
func consume(ctx context.Context, c runConfig, log *slog.Logger) (commits *commitLog, err error) {
	commits = newCommitLog(log)
	name, err := processName()
	if err != nil {
		return commits, err
	}
	if err := store.Check(ctx, c.db); err != nil {
		return commits, err
	}
	m := newMonitor(ctx, c.db, log)
	if c.http != "" {
		if err := m.serve(ctx, c.http, c.hosts); err != nil {
			return commits, err
		}
	}
	conn, err := stream.Connect(ctx, c.server.Config("consumer", "turnstile consumer "+name, log))
	if err != nil {
		return commits, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	m.change(func(v *view) { v.conn = conn })
	commits.queue = func() (stream.QueueState, error) {
		ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
		defer cancel()
		return conn.Queue(ctx)
	}
	standby, err := conn.AnnounceStandby(name)
	if err != nil {
		return commits, err
	}
	db, err := openWriter(ctx, c.db, log, m.standingBy, m.cannotStore)
	if err := errors.Join(err, standby.Close()); err != nil {
		return commits, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	reader, err := conn.Reader(ctx, stream.ReaderOptions{Database: db, Adopt: c.adopt, Batch: c.batch})
	if err != nil {
		return commits, err
	}
	requests, err := reader.Requests()
	if err != nil {
		return commits, errors.Join(err, reader.Close())
	}
	m.writing(reader, db)
	if db.waited {
		log.Info("took over from the previous writer", "after", time.Since(db.since))
	}
	log.Info("storing", "db", c.db, "server", conn.URL())
	inserted, err := db.Inserted(ctx)
	if err == nil {
		commits.summary, err = announceCommits(conn, name, inserted)
	}
	if err != nil {
		return commits, errors.Join(err, requests.Close(), reader.Close())
	}
	defer func() { err = errors.Join(err, commits.summary.Close()) }()
	return commits, ingestAll(ctx, c, &receiver{reader: reader, requests: requests, monitor: m}, db, commits, log)
}

// ingestAll stores messages until ctx ends or, with --until-drained, until the
// queue is empty. It finishes the last batch.
func ingestAll(ctx context.Context, c runConfig, in *receiver, db *writer, commits *commitLog, log *slog.Logger) error {
	receiving, stopReceiving := context.WithCancel(ctx)
	defer stopReceiving()
	messages := in.start(receiving, stopReceiving)
	if c.drained {
		go stopWhenDrained(receiving, in.reader, stopReceiving, log)
	}

	working, giveUp := finishing(ctx)
	defer giveUp()
	err := ingest.Run(working, messages, db, ingest.Options{
		Rows: c.batch, Log: log, Retry: in.monitor.retry, Hint: transientHint(c.db),
		Committed: func(commit ingest.Commit) error {
			commits.add(commit)
			in.monitor.stored(commit)
			inserted, err := db.Inserted(working)
			if err != nil {
				return err
			}
			commits.summary.add(commit, inserted)
			return nil
		},
	})
	stopReceiving()
	commits.flush()
	if err != nil && ctx.Err() != nil { // expected when told to stop, but worth a line
		log.Warn("the last batch is not stored, and stays in the queue", "error", err)
	}
	return errors.Join(err, in.close())
}

// finishing returns a context that outlives ctx by stopTimeout.
func finishing(ctx context.Context) (working context.Context, stop func()) {
	working, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, giveUp) })
	return working, func() { unhook(); giveUp() }
}

// drainedEvery is how often the consumer asks whether the queue is empty. Each
// check costs a broker round trip.
const drainedEvery = 20 * time.Millisecond

// stopWhenDrained calls stop as soon as all messages of the stream are stored
// and acknowledged.
func stopWhenDrained(ctx context.Context, reader *stream.Reader, stop func(), log *slog.Logger) {
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

// A receiver merges the messages of the queue with requests, which bypass it.
type receiver struct {
	reader   *stream.Reader
	requests *stream.Requests
	monitor  *monitor

	wg  sync.WaitGroup
	mu  sync.Mutex // guards err
	err error
}

// start sends messages on the returned channel until ctx ends, and then closes
// it. If the queue or the requests fail, start calls stop to end the other.
func (r *receiver) start(ctx context.Context, stop func()) <-chan ingest.Message {
	messages := make(chan ingest.Message)
	receive := func(next func(context.Context) (*stream.Delivery, error)) {
		if err := r.forward(ctx, next, messages); err != nil {
			r.mu.Lock()
			r.err = errors.Join(r.err, err)
			r.mu.Unlock()
			stop()
		}
	}
	r.wg.Go(func() { receive(r.reader.Next) })
	r.wg.Go(func() { receive(r.requests.Next) })
	go func() {
		r.wg.Wait()
		close(messages)
	}()
	return messages
}

func (r *receiver) forward(ctx context.Context, next func(context.Context) (*stream.Delivery, error), messages chan<- ingest.Message) error {
	for {
		m, err := next(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case messages <- r.monitor.watch(m):
		case <-ctx.Done():
			return m.Nak() // otherwise the next writer waits for its redelivery
		}
	}
}

// close returns fetched messages to the queue. The context of start must have
// ended.
func (r *receiver) close() error {
	r.wg.Wait()
	return errors.Join(r.err, r.requests.Close(), r.reader.Close())
}
