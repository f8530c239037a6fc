package main

// What can be measured, and in which order.

import (
	"context"
	"slices"
)

// A measurement is one thing that --only can name.
type measurement struct {
	name, says string
	run        func(b *bench, ctx context.Context) error
	shell      bool // it needs the sqlite3 shell
}

var measurements = []measurement{
	{"pipeline", "producer, broker and consumer against sqlite3's .import", (*bench).pipelineAgainstImport, true},
	{"plain", "producer, broker and consumer against a plain Go program", (*bench).pipelineAgainstPlain, false},
	{"load", "consumer load, with and without its proof, against sqlite3's .import", (*bench).loadAgainstImport, true},
	{"proof", "consumer verify, and loading a file that is stored already", (*bench).proof, false},
	{"stages", "each stage alone against all together, and what parsing and inserting cost alone", (*bench).stages, false},
	{"memory", "the broker's memory, and what less of it costs", (*bench).memory, false},
	{"latency", "one row a message: rates, and the time until a row is visible", (*bench).latency, false},
	{"lab", "queued and confirmed against every direct strategy, at 1, 4, 8 and 16 processes", (*bench).lab, false},
}

func names() (n []string) {
	for _, m := range measurements {
		n = append(n, m.name)
	}
	return n
}

const pipelineNote = "The broker is up before. The clock runs from the start of consumer and producer until the consumer has closed the database; " +
	"stored: until the last row was committed and the producer knew."

func (b *bench) pipelineAgainstImport(ctx context.Context) error {
	c := comparison{Name: "pipeline", Title: "producer, broker and consumer against .import", Note: pipelineNote}
	return b.eachSize(ctx, c, subject{"pipeline", b.pipeline()}, subject{".import", b.shellImport})
}

func (b *bench) pipelineAgainstPlain(ctx context.Context) error {
	c := comparison{Name: "plain", Title: "producer, broker and consumer against a plain Go program", Note: pipelineNote}
	return b.eachSize(ctx, c, subject{"pipeline", b.pipeline()}, subject{"plain program", b.plainProgram})
}

func (b *bench) loadAgainstImport(ctx context.Context) error {
	c := comparison{Name: "load", Title: "consumer load against .import", Note: "The proof compares file and database record by record; .import has none, so the first line is the one to compare."}
	return b.eachSize(ctx, c, subject{"load, no proof", b.load("--verify=false")}, subject{"load, with proof", b.load()}, subject{".import", b.shellImport})
}

func (b *bench) eachSize(ctx context.Context, c comparison, subjects ...subject) error {
	for _, rows := range b.rows {
		in, err := b.input(ctx, rows)
		if err != nil {
			return err
		}
		if err := b.alternate(ctx, c, in, subjects); err != nil {
			return err
		}
	}
	return nil
}

// memory is measured at the largest size: that is where memory would grow.
func (b *bench) memory(ctx context.Context) error {
	in, err := b.input(ctx, slices.Max(b.rows))
	if err != nil {
		return err
	}
	c := comparison{Name: "memory", Title: "the pipeline with less memory for the broker", Note: "The settings are the broker's alone: GOGC is how much garbage it lets lie, GOMEMLIMIT what it tries to stay below."}
	subjects := []subject{{"as it is", b.pipeline()}}
	for _, setting := range []string{"GOGC=50", "GOGC=25", "GOMEMLIMIT=96MiB", "GOMEMLIMIT=64MiB"} {
		subjects = append(subjects, subject{setting, b.pipeline(setting)})
	}
	return b.alternate(ctx, c, in, subjects)
}
