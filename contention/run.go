package main

// contention without a subcommand: run trials, report.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"turnstile/internal/about"
	"turnstile/internal/cli"
	"turnstile/internal/lab"
)

func compare(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parse(args, env)
	if done || err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it again: %w", err)
	}
	place := c.dir
	if c.keep != "" {
		place = c.keep
	}
	info := about.Collect(ctx, place)
	report := lab.Report{About: info, AboutLine: info.Short() + ".", Warning: info.FileSystem.Warning}
	progress := newProgress(env, c.verbose)
	l := &lab.Lab{
		Binary: self, Dir: c.dir, Keep: c.keep, Verbose: c.verbose,
		Log: cli.Logger(env, c.verbose), Look: progress.look,
	}
	trials, err := l.Run(ctx, c.settings, c.repeat)
	progress.done()
	report.Trials, report.Interrupted = trials, ctx.Err() != nil
	if werr := c.result.Write(env, func(w io.Writer, colour bool) error {
		return write(report, c.result.Format, w, colour)
	}); werr != nil {
		return errors.Join(werr, err)
	}
	return verdict(report, err)
}

func write(r lab.Report, format string, w io.Writer, colour bool) error {
	switch format {
	case "json":
		return r.JSON(w)
	case "markdown":
		return r.Markdown(w)
	case "csv":
		return r.CSV(w)
	}
	return r.Text(w, colour)
}

// verdict is what the command ends with: lost rows are a result, rows that no
// one can account for are a failure of the lab.
func verdict(r lab.Report, err error) error {
	if r.Interrupted {
		return fmt.Errorf("%w after %d trials", cli.ErrInterrupted, len(r.Trials))
	}
	if err != nil {
		return err
	}
	for _, t := range r.Trials {
		if t.Unaccounted != 0 || t.Range["unaccounted"] != [2]float64{} {
			return fmt.Errorf("%d rows of %s are unaccounted for: don't trust this run", t.Unaccounted, t.Setting)
		}
	}
	return nil
}
