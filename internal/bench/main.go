// Command bench measures turnstile against other ways to get rows into SQLite,
// on this machine: go run ./internal/bench.
//
// It builds the commands and runs them as a user does. Whatever is compared runs
// in turn, and a ratio is the median of the ratios of the rounds: load from other
// programs slows both sides of a ratio.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"turnstile/internal/cli"
)

const help = `
bench measures turnstile against other ways to get rows into SQLite.

Usage: go run ./internal/bench [flags]

  go run ./internal/bench                        everything, about ten minutes
  go run ./internal/bench --quick                everything, in under three minutes
  go run ./internal/bench --only load,lab        parts of it

load    into SQLite: the pipeline (producer, broker, consumer), consumer load,
        an ordinary Go program, and sqlite3's .import
stored  a file that is stored: consumer verify, and loading it again
memory  the peak memory of the pipeline's processes by the size of the file
queue   how many rows fit into a GiB of the queue
paced   producer --rate: is the pace held, and when is a row visible in SQLite
page    the pipeline with and without consumer page: CPU seconds of the consumer
lab     contention with 16 processes: confirmed against the direct strategies

A ratio is a way's seconds, divided by those of the first way in the same round.
`

type config struct {
	only    []string
	rows    int
	sizes   []int // of the memory part
	rounds  int
	seconds int // of a trial that has a duration
	dir     string
	output  *cli.Result
}

var parts = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"load", (*bench).load},
	{"stored", (*bench).stored},
	{"memory", (*bench).memory},
	{"queue", (*bench).queue},
	{"paced", (*bench).paced},
	{"page", (*bench).page},
	{"lab", (*bench).lab},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func main() {
	cli.Main("bench", cli.Dispatch(cli.Command{Run: run}, cli.Command{Name: "plain", Run: plain, Hidden: true}), nil)
}

func run(ctx context.Context, args []string, env cli.Env) error {
	c := config{sizes: []int{1_000_000, 3_000_000, 10_000_000}, seconds: 5}
	f := cli.NewFlags("bench", help)
	quick := f.Bool("quick", false, "smaller files, fewer rounds, shorter trials")
	f.StringSliceVar(&c.only, "only", partNames(), "measure these `PARTS`\n")
	f.IntVar(&c.rows, "rows", 3_000_000, "`N` rows in the file that is compared (--quick: 300000)")
	f.IntVar(&c.rounds, "rounds", 5, "`N` rounds of each comparison (--quick: 3)")
	f.StringVar(&c.dir, "dir", "var", "work in `DIR`, on the disk to be measured")
	c.output = f.ResultFlags("text", "json")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if *quick {
		c.sizes, c.seconds = []int{300_000, 1_000_000}, 2
		if !f.Changed("rows") {
			c.rows = 300_000
		}
		if !f.Changed("rounds") {
			c.rounds = 3
		}
	}
	if err := errors.Join(f.NoArgs(), c.output.Check(), c.check()); err != nil {
		return err
	}
	b := &bench{config: c, log: f.Logger(env)}
	b.result = result{At: time.Now(), Load: loadAverage(), Rounds: c.rounds}
	err := b.measure(ctx)
	if ctx.Err() != nil {
		b.result.Interrupted, err = true, cli.ErrInterrupted
	}
	return errors.Join(c.output.Write(env, func(w io.Writer, _ bool) error {
		if c.output.Format == "json" {
			return cli.WriteJSON(w, b.result)
		}
		return b.result.text(w)
	}), err)
}

func (c config) check() error {
	for _, name := range c.only {
		if !slices.Contains(partNames(), name) {
			return cli.Usagef("one or more of "+strings.Join(partNames(), ","), "--only: there is no part %q", name)
		}
	}
	switch {
	case c.rows < 1:
		return cli.Usagef("for example --rows 300000", "--rows is %d, want 1 or more", c.rows)
	case c.rounds < 1:
		return cli.Usagef("for example --rounds 5", "--rounds is %d, want 1 or more", c.rounds)
	}
	return nil
}

// A bench is one run.
type bench struct {
	config
	programs
	work   string // a folder on the disk to be measured
	log    *slog.Logger
	result result
}

// measure ends with the first error: a run that lost rows is no measurement.
func (b *bench) measure(ctx context.Context) (err error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp(b.dir, "bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	if b.programs, err = build(ctx, cmp.Or(programFolder, b.work)); err != nil {
		return err
	}
	if b.result.Shell = b.shellVersion; b.shell == "" {
		b.log.Warn("there is no sqlite3 shell in PATH: .import is not measured")
	}
	_, b.result.Machine, err = b.finish(ctx, "", "contention", "about", "--dir", b.work, "--format", "json")
	if err != nil {
		return err
	}
	for _, p := range parts {
		if slices.Contains(b.only, p.name) {
			b.log.Info("measure", "part", p.name)
			if err := p.run(b, ctx); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}
