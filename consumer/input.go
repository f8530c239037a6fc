package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

// inputFlags adds the flags that say how to read a file. The producer has the
// same ones: a file must give the same rows by either way.
func inputFlags(f *cli.Flags, o *mta.FileOptions) {
	f.StringVar(&o.Source, "source", "", "`NAME` of the data set (default: the name of the file)")
	f.StringVar(&o.Columns, "columns", "", "the `NAMES` of the columns, separated by commas, for a file without a header")
	f.Delimiter(&o.Delimiter)
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

// A parseAhead reads and parses a file on a goroutine of its own, ahead of the
// comparison.
type parseAhead struct {
	cancel  context.CancelFunc
	batches chan parsedBatch
	rows    int64 // returned by next so far
	blank   int64
}

type parsedBatch struct {
	batch *mta.Batch
	err   error
}

// verifyChunk is the size of a batch in bytes. It is small enough that both
// goroutines have work from the start.
const verifyChunk = 1 << 20

func startParsing(ctx context.Context, file *mta.File) *parseAhead {
	ctx, cancel := context.WithCancel(ctx)
	p := &parseAhead{cancel: cancel, batches: make(chan parsedBatch, 2)}
	go func() {
		defer close(p.batches)
		parser := mta.NewParser()
		for {
			b, err := parseChunk(file, parser)
			select {
			case p.batches <- parsedBatch{b, err}:
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

func parseChunk(file *mta.File, parser *mta.Parser) (*mta.Batch, error) {
	chunk, err := file.Next(verifyChunk, 0)
	if err != nil {
		return nil, err
	}
	chunk.Data = bytes.Clone(chunk.Data) // the batch refers to it; the file reuses its buffer
	parser.Begin()
	part := parser.Parse(chunk)
	return &mta.Batch{Parts: []mta.Part{part}, Dims: parser.Dimensions()}, nil
}

// next returns the next batch, or io.EOF.
func (p *parseAhead) next() (*mta.Batch, error) {
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
func (p *parseAhead) stop() {
	p.cancel()
	for got := range p.batches {
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return
		}
	}
}
