package main

// consumer page: a live page of the stream, in a process of its own. It reads the
// database and hears the broker. It never writes, so it outlives the writer and holds
// nobody up.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/store"
	"turnstile/internal/stream"
	"turnstile/internal/web"
)

const pageHelp = `
consumer page serves a live page of the stream: rows on the map of New York as
they are committed, the queue, the writer and its standbys.

Usage: consumer page [flags]

  consumer page                       then open http://127.0.0.1:8091

It needs no writer and no broker to run, shows when one is gone, and changes
nothing. Rows are counted twice, from the moment it starts: what the broker has
acknowledged to producers, and what the database has inserted.
`

const (
	pollDatabase = 200 * time.Millisecond
	pollQueue    = 500 * time.Millisecond
	tickEvery    = 100 * time.Millisecond
	newRejects   = 8
)

// A pager feeds the page.
type pager struct {
	db     string
	server *cli.Server
	log    *slog.Logger
	page   *web.StreamPage
}

func page(ctx context.Context, args []string, env cli.Env) (err error) {
	p := pager{}
	f := cli.NewFlags("consumer page", pageHelp)
	f.StringVar(&p.db, "db", defaultDatabase, "the database `FILE`")
	address := f.String("http", "127.0.0.1:8091", "serve the page on `ADDRESS`")
	hosts := f.StringSlice("http-host", nil, "let other machines see the page, under this `NAME` of this one")
	p.server = f.ServerFlags()
	f.Advanced("http-host")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	p.log = f.Logger(env)
	if p.page, err = web.NewStreamPage(web.Options{Addr: *address, Hosts: *hosts, Log: p.log}, p.db, p.find); err != nil {
		return err
	}
	p.log.Info("serving the page", "open", p.page.URL(), "db", p.db)
	return p.run(ctx)
}

// run serves and feeds the page until ctx ends, or until one of them fails.
func (p *pager) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{p.page.Serve, p.hearBroker, p.watchDatabase, p.tick} {
		wg.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// tick tells the viewers what is new.
func (p *pager) tick(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if err := p.page.Tick(now); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// hearBroker connects, hears the summaries and asks for the size of the queue, until
// ctx ends. It returns permanent errors of the connection.
func (p *pager) hearBroker(ctx context.Context) error {
	name, err := processName()
	if err != nil {
		return err
	}
	conn, err := stream.Connect(ctx, p.server.Config("page", "turnstile page "+name, p.log))
	if err != nil {
		return err
	}
	viewer, err := conn.View(p.heard)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	tick := time.NewTicker(pollQueue)
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		queue, err := conn.Queue(ask)
		cancel()
		if ctx.Err() == nil {
			p.page.Queue(queue, err, time.Now())
		}
		if err := conn.Err(); err != nil {
			return errors.Join(err, viewer.Close(), conn.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(viewer.Close(), conn.Close())
		}
	}
}

// heard takes one summary.
func (p *pager) heard(summary any, err error) {
	now := time.Now()
	switch m := summary.(type) {
	case stream.CommitSummary:
		p.page.Commits(m, now)
	case stream.AckSummary:
		p.page.Acks(m, now)
	case stream.StandbyNotice:
		p.page.Standby(m.Name, now)
	}
	if err != nil {
		p.log.Warn("a summary is not shown", "error", err)
	}
}

// watchDatabase counts its rows and looks for its writer, until ctx ends. A database
// that does not exist yet has no rows. One that can't be read is an error on the page.
func (p *pager) watchDatabase(ctx context.Context) error {
	w := databaseWatch{pager: p}
	tick := time.NewTicker(pollDatabase)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return w.close()
		}
	}
}

// A databaseWatch has the database open. It opens it again if the file at the path is
// another one, or after an error.
type databaseWatch struct {
	*pager
	reader  *store.Reader
	file    os.FileInfo
	rejects int64 // lines of rejects when the newest were last read; -1 before
	nextSum time.Time
	blind   bool               // the writer's lock can't be read, and that is logged
	summing chan time.Duration // of a sum that is running; receives how long it took
}

// look looks once.
func (w *databaseWatch) look(ctx context.Context) {
	alive, holder, err := store.HasWriter(w.db)
	if err != nil {
		if !w.blind {
			w.log.Warn("cannot tell which process writes", "error", err)
		}
		w.blind = true
	} else {
		name := ""
		if holder.PID != 0 {
			name = fmt.Sprintf("%s/%d", holder.Host, holder.PID) // as the consumer calls itself in its summaries
		}
		w.page.Writer(alive, name, time.Now())
	}
	n, size, err := w.count(ctx)
	if err != nil {
		err = errors.Join(err, w.close())
	}
	w.page.Database(n, size, err, time.Now())
	if err != nil || w.reader == nil {
		return
	}
	if err := w.readNews(ctx, n); err != nil && ctx.Err() == nil {
		w.log.Debug("read the database", "error", err)
	}
	w.startSum(ctx)
}

func (w *databaseWatch) close() error {
	if w.reader == nil {
		return nil
	}
	err := w.reader.Close()
	w.reader, w.file = nil, nil
	return err
}

// count opens the database if need be, and returns how many rows it has inserted and
// the size of its file.
func (w *databaseWatch) count(ctx context.Context) (n mta.Inserted, size int64, err error) {
	file, err := os.Stat(w.db)
	if errors.Is(err, os.ErrNotExist) || err == nil && file.Size() == 0 {
		return n, 0, w.close()
	}
	if err != nil {
		return n, 0, err
	}
	if w.reader != nil && !os.SameFile(file, w.file) {
		if err := w.close(); err != nil {
			return n, 0, err
		}
	}
	if w.reader == nil {
		if w.reader, err = store.OpenReader(ctx, w.db); err != nil {
			w.reader = nil
			return n, 0, err
		}
		w.file, w.rejects = file, -1
	}
	n, err = w.reader.Inserted(ctx)
	return n, file.Size(), err
}

// readNews reads new rejects, and the places of new stations.
func (w *databaseWatch) readNews(ctx context.Context, n mta.Inserted) error {
	if n.Rejects != w.rejects {
		newest, err := w.reader.NewestRejects(ctx, newRejects)
		if err != nil {
			return err
		}
		ticks := []web.RejectTick{}
		for _, x := range newest {
			ticks = append(ticks, web.RejectTick{Source: x.Source, Line: x.Line, Column: x.Column, Reason: x.Reason})
		}
		w.page.Rejects(ticks)
		w.rejects = n.Rejects
	}
	if len(w.page.UnknownStations()) == 0 {
		return nil
	}
	stations, err := w.reader.Stations(ctx, maxStations)
	if err != nil {
		return err
	}
	places := []web.MapStation{}
	for id, s := range stations {
		m := web.MapStation{ID: id, Name: s.Complex.S, Borough: s.Borough.S}
		if m.Name == "" {
			m.Name = id
		}
		if s.Latitude.Valid && s.Longitude.Valid {
			m.Lat, m.Lon = &s.Latitude.F, &s.Longitude.F
		}
		places = append(places, m)
	}
	w.page.Places(places)
	return nil
}

// maxStations bounds the stations that are read for their places.
const maxStations = 10_000

// startSum sums up the rides on another goroutine and another connection, if the page
// wants it. It takes at most a sixth of the time.
func (w *databaseWatch) startSum(ctx context.Context) {
	if w.summing != nil {
		select {
		case took := <-w.summing:
			w.summing, w.nextSum = nil, time.Now().Add(max(time.Second, 5*took))
		default:
			return
		}
	}
	now := time.Now()
	if now.Before(w.nextSum) {
		return
	}
	upTo, ok := w.page.WantsSums(now)
	if !ok {
		return
	}
	done, start := make(chan time.Duration, 1), time.Now()
	w.summing = done
	go func() {
		sums, err := w.sum(ctx, upTo)
		if err != nil && ctx.Err() == nil {
			w.log.Debug("sum up the rides", "error", err)
		}
		w.page.Sums(sums, err, time.Now())
		done <- time.Since(start)
	}()
}

func (p *pager) sum(ctx context.Context, upTo map[string]int64) (sums web.Sums, err error) {
	r, err := store.OpenReader(ctx, p.db)
	if err != nil {
		return sums, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	totals, err := r.Totals(ctx, upTo)
	if err != nil {
		return sums, err
	}
	sums.Rides, sums.Hours = totals.Inserted.Rides, totals.Hours
	for id, t := range totals.Stations {
		sums.Stations = append(sums.Stations, web.MapStation{ID: id, Rows: t.Rows, Riders: t.Riders})
	}
	return sums, nil
}

// find answers where one row is.
func (p *pager) find(ctx context.Context, source string, line int64) (answer web.FollowedRow, err error) {
	answer = p.page.Follow(source, line, time.Now())
	r, err := store.OpenReader(ctx, p.db)
	if _, absent := errors.AsType[*store.AbsentError](err); absent {
		return answer, nil
	}
	if err != nil {
		return answer, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	found, err := r.Find(ctx, source, line)
	if err != nil {
		return answer, err
	}
	answer.Found, answer.Hour, answer.Station, answer.Name, answer.Riders = found.Stored, found.At/3600, found.Station, found.Name, found.Riders
	answer.Rejects = append(answer.Rejects, found.Reasons...)
	return answer, nil
}
