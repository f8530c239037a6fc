package main

// consumer load: CSV files into SQLite in one process. The file itself is the
// queue; the rows, the rejects and the repeats are those of the real one.

import (
	"bytes"
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
consumer load writes CSV files into a SQLite database, once each row, and proves it.

Usage: consumer load FILE... [flags]

  consumer load data/sample.csv             into var/turnstile.db
  consumer load --db mta.db 2023.csv.gz     compressed files as they are
  zcat old.csv.gz | consumer load - --source old.csv

It needs no broker and no server. A file that is loaded again adds nothing; a
mended or longer file adds what is new. Rows that can't be stored are kept
aside with the reason: consumer rejects.
`

// loadChunk is how much of a file is framed, parsed and handed on at a time.
const loadChunk = 256 << 10

type loadConfig struct {
	files  []string
	db     string
	batch  int
	prove  bool
	input  mta.FileOptions
	result *cli.Result
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

// soFar is a hint for a load that failed in the middle.
func soFar(r loadReport) string {
	if r.Rows == 0 {
		return ""
	}
	return fmt.Sprintf("%s rows are in the database or among the rejects by now; the same command adds the others, and none twice", count(r.Rows))
}

func load(ctx context.Context, args []string, env cli.Env) error {
	c, log, done, err := loadFlags(args, env)
	if done || err != nil {
		return err
	}
	r, err := loadFiles(ctx, c, env, log)
	r.Interrupted = errors.Is(err, cli.ErrInterrupted)
	if err != nil && !r.Interrupted {
		return cli.WithHint(err, soFar(r))
	}
	if slices.Contains(c.files, "-") && c.prove {
		c.prove = false
		log.Info("not proved: standard input can't be read twice; consumer verify can with --source", "source", c.input.Source)
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
	f.StringVar(&c.db, "db", database, "the database `FILE`")
	c.result = f.ResultFlags("text", "json")
	f.BoolVar(&c.prove, "verify", true, "compare file and database in the end")
	f.IntVar(&c.batch, "batch", 20000, "`ROWS` of a transaction")
	inputFlags(f, &c.input)
	f.Advanced("verify", "batch", "columns", "from-line")
	if done, err = f.Parse(args, env); done || err != nil {
		return c, nil, done, err
	}
	if err := errors.Join(c.result.Check(), checkBatch(c.batch)); err != nil {
		return c, nil, false, err
	}
	c.files = f.Args()
	return c, cli.Logger(env, f.Verbose()), false, checkFiles(c.files, c.input)
}

// loadFiles stores the files one after the other through one writer.
func loadFiles(ctx context.Context, c loadConfig, env cli.Env, log *slog.Logger) (r loadReport, err error) {
	db, err := openWriter(ctx, c.db, log)
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

func loadFile(ctx context.Context, c loadConfig, name string, db *store.DB, r *loadReport, env cli.Env, log *slog.Logger) error {
	file, err := mta.OpenFile(name, env.Stdin, c.input)
	if err != nil {
		return err
	}
	defer file.Close()
	sayColumns(log, file)
	bar := cli.NewProgress(env, log, "load "+file.Source(), file.Size())
	defer bar.Done()

	said := newRejectLog(log)
	in := make(chan ingest.Message)
	ended := make(chan struct{})
	var readErr error
	go func() {
		defer close(in)
		readErr = feed(ctx, ended, file, in, r)
	}()
	working, stop := finishing(ctx)
	defer stop()
	err = ingest.Run(working, in, db, ingest.Options{
		Rows: c.batch, Log: log, Retry: store.IsTransient,
		Committed: func(commit ingest.Commit) error {
			for _, o := range commit.Outcomes {
				r.Stored += int64(o.Stored)
				r.AlreadyThere += int64(o.AlreadyThere)
				r.Rejected += int64(o.Rejected)
			}
			said.add(commit)
			bar.Set(file.Offset(), r.Stored+r.AlreadyThere+r.Rejected)
			return nil
		},
	})
	close(ended)
	for range in { // until feed has ended
	}
	said.flush()
	if err != nil && ctx.Err() != nil {
		log.Warn("what was in hand is not stored", "error", err)
		return interrupted(file, "")
	}
	return errors.Join(err, readErr)
}

func interrupted(file *mta.File, where string) error {
	return cli.WithHint(fmt.Errorf("%w in %s%s", cli.ErrInterrupted, file.Source(), where), "the same command goes on; what is stored stays")
}

// feed frames a file into messages until its end, or until the work is told to
// stop, or has stopped by itself.
func feed(ctx context.Context, ended <-chan struct{}, file *mta.File, in chan<- ingest.Message, r *loadReport) error {
	for {
		chunk, err := file.Next(loadChunk, 0)
		if errors.Is(err, io.EOF) {
			return nil
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

// A fileMessage is a chunk whose queue is the file: nobody asks for an answer,
// and there is nothing to acknowledge.
type fileMessage struct{ chunk mta.Chunk }

func (m fileMessage) Chunk() (mta.Chunk, error) { return m.chunk, nil }
func (m fileMessage) Sequence() uint64          { return 0 }
func (m fileMessage) Body() []byte              { return m.chunk.Data }
func (m fileMessage) Confirm([]byte) error      { return nil }
func (m fileMessage) Ack() error                { return nil }

func writeLoad(w io.Writer, c loadConfig, r loadReport) error {
	if c.result.Format == "json" {
		return cli.WriteJSON(w, r)
	}
	_, err := fmt.Fprintf(w, "%s rows in %.2f s (%s rows/s): %s stored, %s already there, %s rejected\n",
		count(r.Rows), r.Seconds, count(int64(r.RowsPerSecond)), count(r.Stored), count(r.AlreadyThere), count(r.Rejected))
	if err != nil || r.Proof == nil {
		return err
	}
	return writeProof(w, c.db, *r.Proof)
}
