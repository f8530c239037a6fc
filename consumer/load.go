package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/store"
)

const loadHelp = `
consumer load writes CSV files into a SQLite database, each row once, and proves
it.

Usage: consumer load FILE... [flags]

  consumer load data/sample.csv             into var/turnstile.db
  consumer load --db mta.db 2023.csv.gz     compressed files as they are
  zcat old.csv.gz | consumer load - --source old.csv

It needs no broker. A file that is loaded again adds nothing. A corrected or
longer file adds its new rows. Rows that cannot be stored become rejects, each
with its reason: consumer rejects lists them.
`

// loadChunk is the size of a message in bytes.
const loadChunk = 256 << 10

type loadConfig struct {
	files     []string
	db        string
	batch     int
	prove     bool
	input     mta.FileOptions
	keepGoing bool
	result    *cli.Result
}

// loadReport is the result of load as JSON.
type loadReport struct {
	Rows          int64        `json:"rows"`
	Blank         int64        `json:"blank"`
	Stored        int64        `json:"stored"`
	AlreadyThere  int64        `json:"already_there"`
	Rejected      int64        `json:"rejected"`
	Seconds       float64      `json:"seconds"`
	RowsPerSecond float64      `json:"rows_per_second"`
	Interrupted   bool         `json:"interrupted"`
	Proof         *proofReport `json:"proof"`
}

// resumeHint is the hint of a load that failed after some rows, unless the file has to
// be another one.
func resumeHint(err error, r loadReport) string {
	if _, ok := errors.AsType[*mta.FileError](err); ok || r.Rows == 0 {
		return ""
	}
	return fmt.Sprintf("%s rows are in the database or among the rejects; run the same command again to add the others, none is stored twice", formatCount(r.Rows))
}

func load(ctx context.Context, args []string, env cli.Env) error {
	c, log, done, err := loadFlags(args, env)
	if done || err != nil {
		return err
	}
	r, err := loadFiles(ctx, c, env, log)
	r.Interrupted = errors.Is(err, cli.ErrInterrupted)
	if err != nil && !r.Interrupted {
		return cli.WithHint(err, resumeHint(err, r))
	}
	if slices.ContainsFunc(c.files, mta.IsStream) && c.prove {
		c.prove = false
		log.Info("not proved: a pipe cannot be read twice", "hint", "pipe the rows to: consumer verify - --source "+cli.ShellQuote(cmp.Or(c.input.Source, "NAME")))
	}
	if c.prove && !r.Interrupted {
		proof, proofErr := prove(ctx, verifyConfig{files: c.files, db: c.db, input: c.input}, env, log)
		if proofErr != nil {
			return proofErr
		}
		r.Proof = &proof
		if !proof.OK {
			err = cli.ErrFailed
		}
	}
	return errors.Join(c.result.Write(env, func(w io.Writer, colour bool) error {
		return writeLoad(w, c, r)
	}), err)
}

func loadFlags(args []string, env cli.Env) (c loadConfig, log *slog.Logger, done bool, err error) {
	f := cli.NewFlags("consumer load", loadHelp)
	f.StringVar(&c.db, "db", defaultDatabase, "the database `FILE`")
	c.result = f.ResultFlags("text", "json")
	f.BoolVar(&c.prove, "verify", true, "compare file and database at the end")
	f.IntVar(&c.batch, "batch", 20000, "`ROWS` in a transaction")
	inputFlags(f, &c.input)
	f.BoolVar(&c.keepGoing, "keep-going", false, "load a file even if its first 1000 rows are all rejects")
	f.Advanced("verify", "batch", "columns", "delimiter", "keep-going", "from-line")
	if done, err = f.Parse(args, env); done || err != nil {
		return c, nil, done, err
	}
	if err := errors.Join(c.result.Check(), checkBatch(c.batch)); err != nil {
		return c, nil, false, err
	}
	c.files = f.Args()
	return c, f.Logger(env), false, checkFiles(c.files, c.input)
}

// loadFiles stores the files one after the other.
func loadFiles(ctx context.Context, c loadConfig, env cli.Env, log *slog.Logger) (r loadReport, err error) {
	for _, name := range c.files {
		if err := checkRows(ctx, c, name); err != nil {
			return r, err
		}
	}
	db, err := openWriterNow(ctx, c.db, log)
	if _, busy := errors.AsType[*busyError](err); busy {
		return r, cli.WithHint(err, "if that is a consumer, send the file through its queue: producer --rate max "+cli.ShellQuote(c.files[0]))
	}
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	start := time.Now()
	for _, name := range c.files {
		if err = loadFile(ctx, c, name, db.DB, &r, env, log); err != nil {
			break
		}
	}
	r.Rows = r.Stored + r.AlreadyThere + r.Rejected
	r.Seconds = time.Since(start).Seconds()
	r.RowsPerSecond = float64(r.Rows) / r.Seconds
	return r, err
}

// checkRows opens a file, and refuses one whose first rows are all rejects: it is probably not
// the file that was meant.
func checkRows(ctx context.Context, c loadConfig, name string) error {
	if mta.IsStream(name) {
		return nil
	}
	file, err := mta.OpenFile(ctx, name, nil, c.input)
	if err != nil {
		return err
	}
	if !c.keepGoing {
		err = file.CheckRows(1000)
	}
	return errors.Join(cli.WithHint(err, "correct the file, or store the rows as rejects: --keep-going"), file.Close())
}

// loadFile stores one file by the same steps as the queue: the file is the
// queue, and it needs no acknowledgement.
func loadFile(ctx context.Context, c loadConfig, name string, db *store.DB, r *loadReport, env cli.Env, log *slog.Logger) error {
	file, err := mta.OpenFile(ctx, name, env.Stdin, c.input)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w in %s", cli.ErrInterrupted, name)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	cli.LogColumns(log, file)
	bar := cli.NewProgress(env, log, "load "+file.Source(), file.Size())
	defer bar.Done()

	rejects := newRejectLog(log)
	in := make(chan ingest.Message)
	ended := make(chan struct{})
	var readErr error
	go func() {
		defer close(in)
		readErr = sendChunks(ctx, ended, file, in, r)
	}()
	working, stop := finishing(ctx)
	defer stop()
	err = ingest.Run(working, in, db, ingest.Options{
		Rows: c.batch, Log: log, Retry: store.IsTransient, Hint: transientHint(c.db),
		Committed: func(commit ingest.Commit) error {
			for _, o := range commit.Outcomes {
				r.Stored += int64(o.Stored)
				r.AlreadyThere += int64(o.AlreadyThere)
				r.Rejected += int64(o.Rejected)
			}
			rejects.add(commit)
			bar.Set(file.Offset(), r.Stored+r.AlreadyThere+r.Rejected)
			return nil
		},
	})
	close(ended)
	for range in { // until sendChunks has ended
	}
	rejects.flush()
	if err != nil && ctx.Err() != nil {
		log.Warn("the last batch is not stored", "error", err)
		return interrupted(file, "")
	}
	return errors.Join(err, readErr)
}

func interrupted(file *mta.File, where string) error {
	return cli.WithHint(fmt.Errorf("%w in %s%s", cli.ErrInterrupted, file.Source(), where), "run the same command again to store the rest; what is stored stays")
}

// sendChunks cuts a file into messages until its end, until ctx ends, or until
// the writer has ended.
func sendChunks(ctx context.Context, ended <-chan struct{}, file *mta.File, in chan<- ingest.Message, r *loadReport) error {
	for {
		chunk, err := file.Next(loadChunk, 0)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && ctx.Err() != nil {
			return interrupted(file, "")
		}
		if err != nil {
			return err
		}
		r.Blank += int64(chunk.Blank)
		chunk.Data = bytes.Clone(chunk.Data)
		select {
		case in <- fileMessage{chunk}:
		case <-ended:
			return nil
		case <-ctx.Done():
			return interrupted(file, fmt.Sprintf(" at line %d", chunk.Line))
		}
	}
}

// A fileMessage is a chunk of a file as an ingest.Message. It has no sender to
// confirm to and no queue to acknowledge to.
type fileMessage struct{ chunk mta.Chunk }

func (m fileMessage) Chunk() (mta.Chunk, error) { return m.chunk, nil }
func (m fileMessage) Mark() mta.Mark            { return mta.Mark{} }
func (m fileMessage) Body() []byte              { return m.chunk.Data }
func (m fileMessage) Confirm([]byte) error      { return nil }
func (m fileMessage) Ack() error                { return nil }

func writeLoad(w io.Writer, c loadConfig, r loadReport) error {
	if c.result.Format == "json" {
		return cli.WriteJSON(w, r)
	}
	err := cli.WriteText(w, fmt.Sprintf("%s in %.2f s (%s rows/s): %s stored, %s already there, %s rejected\n",
		countOf(r.Rows, "row"), r.Seconds, formatCount(int64(r.RowsPerSecond)), formatCount(r.Stored), formatCount(r.AlreadyThere), formatCount(r.Rejected)))
	if err != nil || r.Proof == nil {
		return err
	}
	return writeProof(w, c.db, *r.Proof)
}
