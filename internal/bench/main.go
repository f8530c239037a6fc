// Command bench measures turnstile against other ways to get rows into SQLite,
// on this machine, in one run: go run ./internal/bench.
//
// It builds the commands and runs them as a user would; it looks into none of
// them. What is compared runs in turn, A B A B, and the figure is the median of
// the rounds' ratios: a machine that is busy beside slows both.
package main

import (
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

const head = `
bench measures turnstile against other ways to get rows into SQLite.

Usage: go run ./internal/bench [flags]

  go run ./internal/bench                                      all of it, ten minutes or so
  go run ./internal/bench --only pipeline,load --rows 300000
  go run ./internal/bench --rows 300000,3000000,10000000       also ten million rows
  go run ./internal/bench --list
`

const manual = `
The JSON document: {"machine" (contention about), "sqlite3" (the shell's
version, "" without one), "at", "load_average" (before), "interrupted", "pairs", "comparisons",
"latencies", "lab", "benchmarks", "targets"}. A figure of several runs is
{"median", "min", "max"}. A ratio says how many times as long as the first of
its comparison something took, in the same round.`

// A bench is a run of measurements.
type bench struct {
	tools
	pairs   int
	rows    []int
	seconds int    // of a trial that is measured by time
	work    string // a folder on the disk to be measured
	log     *slog.Logger
	report  *report
}

type config struct {
	bench
	only   []string
	dir    string
	result *cli.Result
}

func main() { cli.Main("bench", execute, nil) }

func execute(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parse(args, env)
	if done || err != nil {
		return err
	}
	r := &report{At: time.Now(), Load: loadAverage(), Pairs: c.pairs, Comparisons: []comparison{}, Latencies: []latency{}, Lab: []trial{}, Benchmarks: []benchmark{}}
	c.report = r
	err = c.measure(ctx)
	if ctx.Err() != nil {
		r.Interrupted, err = true, fmt.Errorf("%w: what was measured is shown", cli.ErrInterrupted)
	}
	r.Targets = judge(*r)
	return errors.Join(c.result.Write(env, func(w io.Writer, _ bool) error {
		if c.result.Format == "json" {
			return cli.WriteJSON(w, r)
		}
		return r.write(w, c.result.Format == "markdown")
	}), err)
}

func parse(args []string, env cli.Env) (c config, done bool, err error) {
	f := cli.NewFlags("bench", head)
	list := f.Bool("list", false, "say what can be measured")
	f.StringSliceVar(&c.only, "only", names(), "measure these: `NAMES` with commas\n")
	f.IntSliceVar(&c.rows, "rows", []int{300_000, 3_000_000}, "files of `N` rows")
	f.IntVar(&c.pairs, "pairs", 5, "`N` rounds of each comparison")
	f.IntVar(&c.seconds, "seconds", 5, "`N` seconds for each rate, and each trial of the lab")
	f.StringVar(&c.dir, "dir", "var", "work in `DIR`, on the disk that is meant")
	c.result = f.ResultFlags("text", "markdown", "json")
	f.Manual(manual)
	if done, err = f.Parse(args, env); done || err != nil {
		return c, done, err
	}
	if *list {
		return c, true, writeList(env.Stdout)
	}
	c.log = cli.Logger(env, f.Verbose())
	return c, false, errors.Join(f.NoArgs(), c.result.Check(), c.check())
}

func writeList(w io.Writer) error {
	for _, m := range measurements {
		if _, err := fmt.Fprintf(w, "%-10s %s\n", m.name, m.says); err != nil {
			return err
		}
	}
	return nil
}

func (c config) check() error {
	for _, name := range c.only {
		if !slices.Contains(names(), name) {
			return cli.Usagef("one or more of "+strings.Join(names(), ","), "--only: there is no %q", name)
		}
	}
	switch {
	case len(c.rows) == 0 || slices.Min(c.rows) < 1:
		return cli.Usagef("for example --rows 300000", "--rows wants numbers of 1 or more")
	case c.pairs < 1:
		return cli.Usagef("for example --pairs 5", "--pairs is %d, want 1 or more", c.pairs)
	case c.seconds < 1:
		return cli.Usagef("for example --seconds 5", "--seconds is %d, want 1 or more", c.seconds)
	}
	return nil
}

// measure does all that was asked for, until the first error: a run with a
// wrong result is no measurement.
func (c *config) measure(ctx context.Context) (err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if c.work, err = os.MkdirTemp(c.dir, "bench-"); err != nil {
		return err
	}
	defer func() { err = c.remove(c.work, err) }()
	if c.tools, err = build(ctx, c.work); err != nil {
		return err
	}
	c.report.Shell = c.sqlite
	if c.report.Machine, err = c.machine(ctx); err != nil {
		return err
	}
	for _, m := range measurements {
		if !slices.Contains(c.only, m.name) {
			continue
		}
		if m.shell && c.shell == "" {
			c.log.Warn("left out: there is no sqlite3 shell in PATH", "what", m.name)
			c.report.LeftOut = append(c.report.LeftOut, m.name)
			continue
		}
		if err := m.run(&c.bench, ctx); err != nil {
			return err
		}
	}
	return nil
}
