// Command generate makes any number of rows that look like the MTA's subway
// ridership: in four dialects, the same for the same seed, and with flawed rows
// if asked.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"turnstile/internal/cli"
)

//go:generate go run . --rows 2000 --seed 1 --flaws 0.25% --output ../sample.csv
//go:generate go run . --rows 49 --seed 1 --dialect split --output ../sample_split.csv

const usage = `
generate makes rows of subway ridership that look like the MTA's.

Usage: go run ./data/generate [flags]

  go run ./data/generate --rows 1000000 --output var/rides.csv
  go run ./data/generate --rows 1000 --dialect excel --flaws 1% >excel.csv 2>flaws.txt

The same seed makes the same file. Dialects: portal (as downloaded from
data.ny.gov), api (its API), excel (saved from Excel), split (13 columns, with
date and time apart). Each flawed row is listed on standard error.
`

func main() { cli.Main("generate", run, nil) }

func run(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("generate", usage)
	rows := f.Int("rows", 2000, "how many rows: `N`")
	seed := f.Uint64("seed", 1, "the seed: another `S` makes another file")
	name := f.String("dialect", "portal", "the `DIALECT`: portal, api, excel or split")
	share := f.String("flaws", "0", "the share `P` of flawed rows, such as 0.001 or 0.1%")
	output := f.String("output", "", "write to `FILE` instead of standard output")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	d, ok := dialects[*name]
	switch {
	case *rows < 0 || *rows > maxRows:
		return cli.Usagef("", "--rows is %d, want 0 to %d", *rows, maxRows)
	case !ok:
		return cli.Usagef("use one of: portal, api, excel, split", "--dialect is %q", *name)
	}
	p, err := parseShare(*share)
	if err != nil {
		return err
	}
	list := bufio.NewWriter(env.Stderr)
	o := order{rows: *rows, seed: *seed, flaws: int(math.Round(p * float64(*rows))), dialect: d, list: list}
	start := time.Now()
	if err := save(ctx, o, *output, env.Stdout); err != nil {
		return errors.Join(err, list.Flush())
	}
	if err := list.Flush(); err != nil {
		return err
	}
	f.Logger(env).Info("generated", "rows", o.rows, "flaws", o.flaws, "took", time.Since(start))
	return nil
}

func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(number, 64)
	if percent {
		p /= 100
	}
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, cli.Usagef("such as 0.001 or 0.1%", "--flaws is %q, want a share from 0 to 1", s)
	}
	return p, nil
}

// save writes the file to path, or to stdout.
func save(ctx context.Context, o order, path string, stdout io.Writer) (err error) {
	w := stdout
	if path != "" {
		out, createErr := os.Create(path)
		if createErr != nil {
			return createErr
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		w = out
	}
	err = newFile(o, w).write(ctx)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w, the file is incomplete", cli.ErrInterrupted)
	}
	return err
}
