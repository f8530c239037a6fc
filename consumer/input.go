package main

// Reading CSV files for load and verify.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

// inputFlags adds the flags that say how a file is to be read. They are the
// producer's as well: the same file must give the same rows by every way.
func inputFlags(f *cli.Flags, o *mta.FileOptions) {
	f.StringVar(&o.Source, "source", "", "`NAME` of the data set (default: the file's own name)")
	f.StringVar(&o.Columns, "columns", "", "the `NAMES` of the columns, with commas, for a file without a header")
	f.Uint32Var(&o.FromLine, "from-line", 0, "start at line `N` of the file")
}

func checkFiles(files []string, o mta.FileOptions) error {
	switch {
	case len(files) == 0:
		return cli.Usagef("data/sample.csv, for example", "which FILE?")
	case len(files) > 1 && o.Source != "":
		return cli.Usagef("one file at a time", "--source names one data set, and there are %d files", len(files))
	}
	return nil
}

func checkBatch(rows int) error {
	if rows < 1 || rows > 1_000_000 {
		return cli.Usagef("use --batch 20000", "--batch is %d, want 1 to 1000000", rows)
	}
	return nil
}

// sayColumns says once which columns of a file are passed over, and which it
// does not have.
func sayColumns(log *slog.Logger, file *mta.File) {
	if ignored := file.Columns().Ignored(); len(ignored) > 0 {
		log.Info("columns that are not stored", "source", file.Source(), "columns", strings.Join(ignored, ", "))
	}
	if absent := file.Columns().Absent(); len(absent) > 0 {
		log.Info("columns the file does not have are stored as NULL", "source", file.Source(), "columns", strings.Join(absent, ", "))
	}
}

// A parsing reads and parses a file ahead, on a goroutine of its own.
type parsing struct {
	cancel  context.CancelFunc
	batches chan parsed
	rows    int64 // handed out so far
	blank   int64
}

type parsed struct {
	batch *mta.Batch
	err   error
}

// verifyChunk is small enough to keep both goroutines busy from the start.
const verifyChunk = 1 << 20

func parseAhead(ctx context.Context, file *mta.File) *parsing {
	ctx, cancel := context.WithCancel(ctx)
	p := &parsing{cancel: cancel, batches: make(chan parsed, 2)}
	go func() {
		defer close(p.batches)
		parser := mta.NewParser()
		for {
			b, err := parseNext(file, parser)
			select {
			case p.batches <- parsed{b, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func parseNext(file *mta.File, parser *mta.Parser) (*mta.Batch, error) {
	chunk, err := file.Next(verifyChunk, 0)
	if err != nil {
		return nil, err
	}
	chunk.Data = bytes.Clone(chunk.Data)
	parser.Begin()
	part := parser.Parse(chunk)
	return &mta.Batch{Parts: []mta.Part{part}, Dims: parser.Dimensions()}, nil
}

// next is the next batch, or io.EOF.
func (p *parsing) next() (*mta.Batch, error) {
	got, ok := <-p.batches
	if !ok {
		return nil, io.EOF
	}
	if got.err != nil {
		return nil, got.err
	}
	p.rows += int64(got.batch.Rows())
	for _, part := range got.batch.Parts {
		p.blank += int64(part.Blank)
	}
	return got.batch, nil
}

// stop ends the goroutine and waits for it, so that the file can be closed.
func (p *parsing) stop() {
	p.cancel()
	for got := range p.batches {
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return
		}
	}
}
