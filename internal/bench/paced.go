package main

// At a pace: is it held, and when can a reader of the database see a row.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// pacedRates are rows a second.
var pacedRates = []int{1000, 20_000}

func (b *bench) paced(ctx context.Context) error {
	t := figures{Title: "producer --rate: ms from due until visible in SQLite", Columns: []string{"reached rows/s", "p50", "p99", "max"}}
	for _, rate := range pacedRates {
		file, err := b.file(ctx, rate*b.seconds)
		if err != nil {
			return err
		}
		var rounds [][]float64
		for range b.rounds {
			err := b.fresh(file, func(dir string) error {
				_, err := b.withBroker(ctx, dir, func(address string) error {
					late, err := b.pacedRound(ctx, file, dir, address, rate)
					rounds = append(rounds, late)
					return err
				})
				return err
			})
			if err != nil {
				return fmt.Errorf("%d rows/s: %w", rate, err)
			}
		}
		row := t.add(fmt.Sprintf("%d rows/s offered", rate), rounds)
		goal, limit := "p99 <= 20 ms", 20.0
		if rate >= 20_000 {
			goal, limit = "p99 <= 250 ms", 250
		}
		held := row[0].Median >= 0.97*float64(rate)
		b.target(fmt.Sprintf("%d rows/s, from due to visible", rate), "held, "+goal, held && row[2].Median <= limit,
			fmt.Sprintf("%.0f rows/s, p99 %s ms", row[0].Median, row[2].text(1)))
	}
	b.result.Tables = append(b.result.Tables, t)
	return nil
}

// pacedRound runs consumer and producer, and returns the figures of the table.
func (b *bench) pacedRound(ctx context.Context, file, dir, address string, rate int) (row []float64, err error) {
	// A broker is healthy a moment before it lets clients in.
	nc, err := nats.Connect(address, nats.RetryOnFailedConnect(true), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	first := make(chan time.Time, 1)
	sub, err := nc.Subscribe("mta.ridership.>", func(*nats.Msg) { first <- time.Now() })
	if err := errors.Join(err, sub.AutoUnsubscribe(1), nc.Flush()); err != nil {
		return nil, err
	}
	db := filepath.Join(dir, "rides.db")
	consumer, err := b.start(ctx, "", "consumer", "--server", address, "--db", db)
	if err != nil {
		return nil, err
	}
	producer, err := b.start(ctx, "", "producer", "--server", address, "--rate", strconv.Itoa(rate)+"/s", file)
	if err != nil {
		_, stopErr := consumer.stop()
		return nil, errors.Join(err, stopErr)
	}
	visible, err := watch(ctx, db, rate*b.seconds, time.Duration(4*b.seconds)*time.Second)
	if err == nil && len(visible) == rate*b.seconds {
		_, err = producer.wait()
	} else { // the pace is not held: do not wait for the rest
		err = errors.Join(err, producer.cmd.Process.Kill())
		_ = producer.cmd.Wait() // says that it was killed
	}
	_, stopErr := consumer.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return nil, err
	}
	return latencies(visible, <-first, rate), nil
}

// latencies takes the first message's arrival as the time when its row was due:
// the producer sends a row that is due at once while nothing is in flight.
func latencies(visible []time.Time, first time.Time, rate int) []float64 {
	var late []float64
	for i, at := range visible {
		due := first.Add(time.Duration(i) * time.Second / time.Duration(rate))
		late = append(late, float64(at.Sub(due).Microseconds())/1000)
	}
	slices.Sort(late)
	at := func(q float64) float64 { return late[int(q*float64(len(late)-1))] }
	reached := float64(len(visible)-1) / visible[len(visible)-1].Sub(first).Seconds()
	return []float64{reached, at(0.5), at(0.99), at(1)}
}

// lastLine is the last stored line of the only source. Rows of one producer are
// stored in the order of their lines.
const lastLine = "SELECT ifnull(max(id) & 0xffffffff, 0) FROM ride"

// watch reads the database every millisecond, as any other program may. It
// returns when each of n rows was first visible, as far as they came within limit after
// the first.
func watch(ctx context.Context, path string, n int, limit time.Duration) (visible []time.Time, err error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "mode=ro&_pragma=busy_timeout(1000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for end := time.Now().Add(startLimit); len(visible) < n && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		line := 0
		if err = db.QueryRowContext(ctx, lastLine).Scan(&line); err != nil {
			continue // the consumer has not made its tables yet
		}
		now := time.Now()
		if len(visible) == 0 && line > 1 {
			end = now.Add(limit)
		}
		for len(visible) < min(line-1, n) { // row i is line i+2
			visible = append(visible, now)
		}
	}
	if len(visible) < 2 {
		return nil, fmt.Errorf("no rows were visible: %w", errors.Join(err, ctx.Err()))
	}
	return visible, nil
}
