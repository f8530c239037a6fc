// Command producer reads rows from CSV files and publishes them to the queue, at
// a pace like a live stream or as fast as possible.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

func main() { cli.Main("producer", run, hint) }

const help = `
producer sends the rows of CSV files to the queue, at a pace or as fast as
possible.

Usage: producer [FILE...|-] [flags]

  producer                               data/sample.csv, 10 rows a second
  producer --every 3s --order time FILE  a row every 3 s, the oldest first
  producer --rate max --confirm stored FILE.csv.gz
                                         as fast as possible, until every row is
                                         in the database
  zcat old.csv.gz | producer --rate max --source old.csv -

A row is identified by its data set and its line, so sending is idempotent: a
file may be sent again at any time, and no row is stored twice. After an
interruption the producer prints the command that resumes.
`

const manual = `
Columns are found by their names in the header, in any order. Required are a
time (transit_timestamp, or transit_date and transit_time), station_complex_id
and ridership. The producer does not check rows: the consumer rejects those
that can't be stored and keeps them with a reason (consumer rejects). Only a
file whose first 1000 rows would all be rejected is refused, unless
--keep-going. Fields may be separated by another character, for example
semicolons; in messages and rejects it is always a comma.

With --rate each row is due at a fixed time. Rows that fall due while earlier
ones are in flight are batched into one message, so a high rate needs few
messages. The producer warns while rows are over a second late. With --every
each row is its own message.

The data set is the file's name without folder and .gz, or --source NAME. The
same name is the same data set. If another file is sent under a known name, its
rows differ from the stored ones and are rejected.

The result with --format json: {"rows", "messages", "blank", "seconds",
"rows_per_second", "asked_rows_per_second", "confirm", "stored",
"already_there", "rejected", "interrupted", "files": [{"file", "source", and the
same counts}]}. "rows" counts the rows that are done, without the header and
blank records. "stored", "already_there" and "rejected" are null unless
--confirm stored; then they add up to "rows". "asked_rows_per_second" is null
for --rate max.
`

// sample is the file sent if none is named.
const sample = "data/sample.csv"

type config struct {
	files     []string
	server    *cli.Server
	pace      pace
	order     string
	limit     int64
	input     mta.FileOptions
	keepGoing bool
	confirm   string
	timeout   time.Duration
	message   int // bytes
	compress  bool
	output    *cli.Result
	flags     *cli.Flags
}

func run(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parse(args, env)
	if done || err != nil {
		return err
	}
	s := newSender(c, env, c.flags.Logger(env))
	err = s.send(ctx)
	if !s.started && !errors.Is(err, cli.ErrInterrupted) {
		return err // nothing was sent, so there is no result
	}
	r := s.currentResult(errors.Is(err, cli.ErrInterrupted))
	return errors.Join(c.output.Write(env, func(w io.Writer, _ bool) error {
		if c.output.Format == "json" {
			return cli.WriteJSON(w, r)
		}
		return r.writeText(w)
	}), err)
}

func parse(args []string, env cli.Env) (c config, done bool, err error) {
	f := cli.NewFlags("producer", help)
	f.Manual(manual)
	c.flags = f
	rate := f.String("rate", "10/s", "`PACE` of the rows, such as 10/s or 600/m, or max for no pause")
	every := f.Duration("every", 0, "send one row every `TIME`, such as 3s, one row per message")
	f.StringVar(&c.order, "order", "file", "`ORDER` of the rows: file, or time for the oldest first")
	f.Int64Var(&c.limit, "limit", 0, "send `N` rows at most; 0 means all")
	f.StringVar(&c.confirm, "confirm", "queued", "`WHEN` a row counts as done: queued (on the broker's disk) or stored (in the database)")
	f.StringVar(&c.input.Source, "source", "", "`NAME` of the data set (default: the file's name)")
	c.server = f.ServerFlags()
	f.StringVar(&c.input.Columns, "columns", "", "column `NAMES`, comma-separated, for a file without a header")
	f.Delimiter(&c.input.Delimiter)
	f.Uint32Var(&c.input.FromLine, "from-line", 0, "start at line `N` of the first file; in order of time, at the row of that line")
	f.BoolVar(&c.keepGoing, "keep-going", false, "send a file even if its first 1000 rows are all rejects")
	f.DurationVar(&c.timeout, "timeout", 0, "give up when no row is done for this `TIME`; 0 means wait without limit")
	size := f.String("message-size", "900KiB", "put up to `BYTES` of rows into a message")
	f.BoolVar(&c.compress, "compress", true, "compress messages over 4 KiB; --compress=false keeps them readable on the wire")
	c.output = f.ResultFlags("text", "json")
	f.Advanced("columns", "delimiter", "keep-going", "from-line", "timeout", "message-size", "compress", "format", "output")
	if done, err := f.Parse(args, env); done || err != nil {
		return c, done, err
	}
	if c.files = f.Args(); len(c.files) == 0 {
		c.files = []string{sample}
	}
	if c.message, err = parseMessage(*size); err != nil {
		return c, false, err
	}
	if f.Changed("rate") && f.Changed("every") {
		return c, false, cli.Usagef("use one of them", "--rate and --every both set the pace")
	}
	if f.Changed("every") {
		c.pace, err = parseEvery(*every)
	} else {
		c.pace, err = parseRate(*rate)
	}
	return c, false, errors.Join(err, c.check())
}

// stored reports whether a row is done only when it is in the database.
func (c config) stored() bool { return c.confirm == "stored" }

// check refuses invalid flags before any work.
func (c config) check() error {
	switch {
	case c.limit < 0:
		return cli.Usagef("use --limit 0 for all rows", "--limit is %d, want 0 or more", c.limit)
	case c.timeout < 0:
		return cli.Usagef("use --timeout 0 to wait without limit", "--timeout is %s, want 0 or more", c.timeout)
	case c.order != "file" && c.order != "time":
		return cli.Usagef("use --order file or --order time", "--order is %q", c.order)
	case c.confirm != "queued" && c.confirm != "stored":
		return cli.Usagef("use --confirm queued or --confirm stored", "--confirm is %q", c.confirm)
	case len(c.files) > 1 && c.input.Source != "":
		return cli.Usagef("send one file at a time", "--source names one data set, and there are %d files", len(c.files))
	}
	return c.output.Check()
}

// plural returns n and its noun, such as 2 rows.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(formatCount(n), " ", one, "s")
}
