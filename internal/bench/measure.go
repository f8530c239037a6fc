package main

// The parts that move whole files: comparisons, memory, the queue.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A way is one way to do what a comparison compares.
type way struct {
	name string
	run  func(ctx context.Context, file, dir string, rows int) (sample, error)
}

// A sample is one run of a way.
type sample struct {
	seconds   float64
	bytes     int64 // of the database, or the queue
	processes []usage
}

// compare runs all ways once a round, and returns the samples of each way.
func (b *bench) compare(ctx context.Context, title string, rows, rounds int, ways ...way) ([][]sample, error) {
	file, err := b.file(ctx, rows)
	if err != nil {
		return nil, err
	}
	samples := make([][]sample, len(ways))
	for range rounds {
		for i, w := range ways {
			err := b.fresh(file, func(dir string) error {
				s, err := w.run(ctx, file, dir, rows)
				samples[i] = append(samples[i], s)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	c := comparison{Title: title, Rows: rows}
	for i, w := range ways {
		m := summarize(w.name, rows, samples[i])
		m.Ratio = ratio(samples[i], samples[0])
		c.Ways = append(c.Ways, m)
	}
	b.result.Comparisons = append(b.result.Comparisons, c)
	return samples, nil
}

// ratio divides the seconds of two ways, round by round.
func ratio(a, b []sample) spread {
	var ratios []float64
	for i := range a {
		ratios = append(ratios, a[i].seconds/b[i].seconds)
	}
	return spreadOf(ratios)
}

// summarize takes the medians of times and the largest of peaks.
func summarize(name string, rows int, samples []sample) measured {
	var seconds []float64
	for _, s := range samples {
		seconds = append(seconds, s.seconds)
	}
	m := measured{Name: name, Seconds: spreadOf(seconds), Bytes: samples[len(samples)-1].bytes}
	m.Rate = float64(rows) / m.Seconds.Median
	for i := range samples[0].processes {
		u := usage{Name: samples[0].processes[i].Name}
		var cpu []float64
		for _, s := range samples {
			cpu = append(cpu, s.processes[i].CPU)
			u.Peak = max(u.Peak, s.processes[i].Peak)
		}
		u.CPU = spreadOf(cpu).Median
		m.CPU += u.CPU
		m.Processes = append(m.Processes, u)
	}
	return m
}

func (b *bench) load(ctx context.Context) error {
	ways := []way{{"pipeline", b.pipeline}, {"consumer load", b.loadFile}, {"plain Go program", b.plainProgram}}
	if b.shell != "" {
		ways = append(ways, way{"sqlite3 .import", b.shellImport})
	}
	samples, err := b.compare(ctx, "into SQLite", b.rows, b.rounds, ways...)
	if err != nil || b.shell == "" {
		return err
	}
	pipeline, imported := samples[0], samples[3]
	against := ratio(imported, pipeline)
	b.target("pipeline against .import", ">= 3", against.Median >= 3, against.text(2))
	against = ratio(imported, samples[1])
	b.target("consumer load against .import", ">= 4", against.Median >= 4, against.text(2))
	size := float64(imported[0].bytes) / float64(pipeline[0].bytes)
	b.target("database against .import's", "<= 1/7", size >= 7, fmt.Sprintf("1/%.1f", size))
	return nil
}

// pipeline sends a file through the queue. The broker runs before, as a server
// does. The clock runs from the start of consumer and producer until the
// consumer has closed the database.
func (b *bench) pipeline(ctx context.Context, file, dir string, rows int) (s sample, err error) {
	return b.pipelineBeside(ctx, file, dir, rows, func(_, _ string, run func() error) error { return run() })
}

// pipelineBeside is pipeline, run by a function that gets the broker's address and
// the database.
func (b *bench) pipelineBeside(ctx context.Context, file, dir string, rows int, beside func(address, db string, run func() error) error) (s sample, err error) {
	db := filepath.Join(dir, "rides.db")
	run := func(address string) error {
		began := time.Now()
		consumer, err := b.start(ctx, "", "consumer", "--server", address, "--db", db)
		if err != nil {
			return err
		}
		producer, _, err := b.finish(ctx, "", "producer", "--server", address, "--rate", "max", "--confirm", "stored", file)
		u, stopErr := consumer.stop()
		s.seconds = time.Since(began).Seconds()
		s.processes = []usage{producer, u}
		return errors.Join(err, stopErr)
	}
	broker, err := b.withBroker(ctx, dir, func(address string) error {
		return beside(address, db, func() error { return run(address) })
	})
	s.processes = append(s.processes, broker)
	if err != nil {
		return s, err
	}
	s.bytes, err = countRows(ctx, db, "ride", rows)
	return s, err
}

func (b *bench) loadFile(ctx context.Context, file, dir string, rows int) (sample, error) {
	db := filepath.Join(dir, "rides.db")
	return b.single(ctx, rows, db, "ride", "", "consumer", "load", "--verify=false", "--db", db, file)
}

func (b *bench) plainProgram(ctx context.Context, file, dir string, rows int) (sample, error) {
	db := filepath.Join(dir, "plain.db")
	return b.single(ctx, rows, db, "ridership", "", "bench", "plain", file, db)
}

// shellImport is .import into a flat table, with the durability of turnstile.
func (b *bench) shellImport(ctx context.Context, file, dir string, rows int) (sample, error) {
	db := filepath.Join(dir, "import.db")
	script := fmt.Sprintf("PRAGMA journal_mode=WAL;\nPRAGMA synchronous=FULL;\n.mode csv\n.import %q ridership\n", filepath.ToSlash(file))
	return b.single(ctx, rows, db, "ridership", script, b.shell, "-bail", db)
}

// single runs one process, and counts the rows of its database.
func (b *bench) single(ctx context.Context, rows int, db, table, stdin, program string, args ...string) (s sample, err error) {
	began := time.Now()
	u, _, err := b.finish(ctx, stdin, program, args...)
	s = sample{seconds: time.Since(began).Seconds(), processes: []usage{u}}
	if err == nil {
		s.bytes, err = countRows(ctx, db, table, rows)
	}
	return s, err
}

func (b *bench) stored(ctx context.Context) error {
	file, err := b.file(ctx, b.rows)
	if err != nil {
		return err
	}
	return b.fresh(file, func(dir string) error {
		if _, err := b.loadFile(ctx, file, dir, b.rows); err != nil {
			return err
		}
		verify := func(ctx context.Context, file, _ string, rows int) (sample, error) {
			db := filepath.Join(dir, "rides.db")
			return b.single(ctx, rows, db, "ride", "", "consumer", "verify", "--db", db, file)
		}
		again := func(ctx context.Context, file, _ string, rows int) (sample, error) {
			return b.loadFile(ctx, file, dir, rows)
		}
		samples, err := b.compare(ctx, "a stored file", b.rows, b.rounds, way{"consumer verify", verify}, way{"load again", again})
		if err != nil {
			return err
		}
		for i, goal := range []float64{2, 1.5} {
			m := summarize([]string{"consumer verify", "load of a stored file"}[i], b.rows, samples[i])
			b.target(m.Name, fmt.Sprintf(">= %g M rows/s", goal), m.Rate >= goal*1e6, fmt.Sprintf("%.2f M rows/s", m.Rate/1e6))
		}
		return nil
	})
}

// memory runs the pipeline once for each size.
func (b *bench) memory(ctx context.Context) error {
	line, most := "", int64(0)
	for _, rows := range b.sizes {
		samples, err := b.compare(ctx, "memory by size", rows, 1, way{"pipeline", b.pipeline})
		if err != nil {
			return err
		}
		line = ""
		for _, u := range samples[0][0].processes {
			line += fmt.Sprintf("%s %s, ", u.Name, mebibytes(u.Peak))
			most = max(most, u.Peak)
		}
		line += strconv.Itoa(rows) + " rows"
	}
	if most > 0 { // known on this system
		b.target("peak memory of each process, every size", "<= 128 MiB", most <= 128<<20, line)
	}
	return nil
}

// queue fills a queue that nobody reads, and asks the broker for its size.
func (b *bench) queue(ctx context.Context) error {
	var size int64
	samples, err := b.compare(ctx, "into the queue", b.rows, 1, way{"producer and broker", func(ctx context.Context, file, dir string, rows int) (s sample, err error) {
		info, err := os.Stat(file)
		if err != nil {
			return s, err
		}
		size = info.Size()
		broker, err := b.withBroker(ctx, dir, func(address string) error {
			began := time.Now()
			u, _, err := b.finish(ctx, "", "producer", "--server", address, "--rate", "max", file)
			s.seconds, s.processes = time.Since(began).Seconds(), []usage{u}
			if err == nil {
				s.bytes, err = queueBytes(ctx, address)
			}
			return err
		})
		s.processes = append(s.processes, broker)
		return s, err
	}})
	if err != nil {
		return err
	}
	bytes := float64(samples[0][0].bytes)
	against := float64(size) / bytes
	b.target("rows in a GiB of the queue, against the file", ">= 6", against >= 6, fmt.Sprintf("%.1f, %.1f M rows", against, float64(b.rows)*(1<<30)/bytes/1e6))
	return nil
}

func queueBytes(ctx context.Context, address string) (int64, error) {
	nc, err := nats.Connect(address)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	s, err := js.Stream(ctx, "MTA")
	if err != nil {
		return 0, err
	}
	return int64(s.CachedInfo().State.Bytes), nil
}
