// Command latency publishes rows one a message at a steady rate, as any client
// of NATS may, and looks into the database until each of them is there. It is
// a part of the measurements and used for nothing else.
//
// A row's time runs from the moment it is due, not from when it was sent, so
// that a publisher that falls behind does not hide it.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"turnstile/internal/cli"
)

const usage = `
latency publishes the rows of a file one by one and measures when each is visible.

Usage: latency FILE --server URL --db DATABASE --rate ROWS_PER_SECOND --rows N
`

type config struct {
	file, server, db string
	rate, rows       int
	poll             time.Duration
}

func main() { cli.Main("latency", run, nil) }

func run(ctx context.Context, args []string, env cli.Env) error {
	c := config{}
	f := cli.NewFlags("latency", usage)
	f.StringVar(&c.server, "server", "", "`URL` of the broker")
	f.StringVar(&c.db, "db", "", "the database `FILE` that the consumer writes")
	f.IntVar(&c.rate, "rate", 0, "`N` rows a second; 0: as fast as it goes")
	f.IntVar(&c.rows, "rows", 1000, "`N` rows")
	f.DurationVar(&c.poll, "poll", time.Millisecond, "look into the database every `TIME`")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if f.NArg() != 1 || c.rows < 1 || c.rate < 0 {
		return cli.Usagef("latency --help", "one FILE, --rows of 1 or more, --rate of 0 or more")
	}
	c.file = f.Arg(0)
	r, err := measure(ctx, c)
	if err != nil {
		return err
	}
	return cli.WriteJSON(env.Stdout, r)
}

type result struct {
	Offered   int     `json:"offered_per_second"`
	Rows      int     `json:"rows"`
	Published float64 `json:"published_per_second"`
	Stored    float64 `json:"stored_per_second"`
	Visible   waits   `json:"visible_ms"`
	Queued    waits   `json:"queued_ms"`
	Poll      float64 `json:"poll_ms"`
}

type waits struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// measure publishes and watches at the same time.
func measure(ctx context.Context, c config) (r result, err error) {
	header, rows, err := read(c.file, c.rows)
	if err != nil {
		return r, err
	}
	p, err := connect(ctx, c, header)
	if err != nil {
		return r, err
	}
	defer p.close()
	w, err := watchDatabase(ctx, c.db, p.source)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.close()) }()

	began := time.Now().Add(50 * time.Millisecond)
	due := func(i int) time.Time {
		if c.rate == 0 {
			return began
		}
		return began.Add(time.Duration(i) * time.Second / time.Duration(c.rate))
	}
	var queued, visible []time.Time
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) { queued, err = p.publish(ctx, rows, due); return err })
	both.Go(func() (err error) { visible, err = w.watch(ctx, len(rows), c.poll); return err })
	if err := both.Wait(); err != nil {
		return r, err
	}
	n := float64(len(rows))
	return result{
		Offered: c.rate, Rows: len(rows), Poll: float64(c.poll.Microseconds()) / 1000,
		Published: n / latest(queued).Sub(began).Seconds(), Stored: n / latest(visible).Sub(began).Seconds(),
		Queued: summarise(queued, due), Visible: summarise(visible, due),
	}, nil
}

// read takes the first rows of a file whose records are lines.
func read(path string, n int) (header string, rows [][]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if lines.Scan() {
		header = lines.Text()
	}
	for len(rows) < n && lines.Scan() {
		rows = append(rows, append([]byte(lines.Text()), '\n'))
	}
	if lines.Err() == nil && len(rows) < n {
		return "", nil, fmt.Errorf("%s has %d rows, want %d", filepath.Base(path), len(rows), n)
	}
	return header, rows, lines.Err()
}

func latest(times []time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// summarise makes percentiles of how long after it was due each row was there.
func summarise(times []time.Time, due func(int) time.Time) waits {
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	longest := time.Duration(0)
	for i, t := range times {
		took := max(t.Sub(due(i)), 0)
		longest = max(longest, took)
		// It can't fail: nothing here takes an hour.
		_ = h.RecordValue(max(took.Microseconds(), 1))
	}
	// A histogram's value may be a little above the longest there is.
	ms := func(us int64) float64 { return float64(min(us, longest.Microseconds())) / 1000 }
	return waits{ms(h.ValueAtPercentile(50)), ms(h.ValueAtPercentile(99)), ms(longest.Microseconds())}
}
