package lab

// One trial, from an empty database to what came of it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// A Lab runs trials.
type Lab struct {
	Binary  string       // this program: its first argument "child" makes a process of a trial
	Dir     string       // where the databases live while they are needed
	Keep    string       // where they stay, or ""
	Verbose bool         // log what each process does
	Log     *slog.Logger //
	Look    func(Look)   // told now and then how far it is; nil: no one looks

	kept int // databases so far, to number them
}

// A Look is a glance at a trial that is running.
type Look struct {
	Setting Setting
	Trial   int // from 1
	Trials  int
	Rows    int // ended so far
	Since   time.Duration
}

// attempts is how often a trial is run whose processes did not start together.
const attempts = 3

// Run runs one trial for each setting, each repeated. Where the context ends,
// it returns what there is, the last trial marked as interrupted.
func (l *Lab) Run(ctx context.Context, settings []Setting, repeat int) ([]Trial, error) {
	var trials []Trial
	for i, s := range settings {
		var runs []Trial
		for range repeat {
			t, err := l.together(ctx, s, Look{Setting: s, Trial: i + 1, Trials: len(settings)})
			if err == nil {
				runs = append(runs, t)
			}
			if err == nil && ctx.Err() == nil {
				continue
			}
			if len(runs) > 0 {
				trials = append(trials, merge(runs))
			}
			return trials, errors.Join(ctx.Err(), err)
		}
		trials = append(trials, merge(runs))
	}
	return trials, nil
}

// together repeats a trial until its processes started together.
func (l *Lab) together(ctx context.Context, s Setting, look Look) (Trial, error) {
	var apart []time.Duration
	for {
		t, err := l.trial(ctx, s, look)
		if err != nil {
			return t, fmt.Errorf("trial %s: %w", s, err)
		}
		t.Apart = apart
		if t.Spread <= maxSpread || ctx.Err() != nil {
			return t, nil
		}
		if apart = append(apart, t.Spread); len(apart) == attempts {
			t.Apart = apart
			return t, nil
		}
	}
}

func (l *Lab) trial(ctx context.Context, s Setting, look Look) (t Trial, err error) {
	place, remove, err := l.place(s)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	strategy := find(s.Strategy)
	if err := createDatabase(ctx, place, s); err != nil {
		return t, err
	}
	server, stop, err := startQueue(ctx, strategy.Queue, place, s)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	c := &crew{}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	if err := l.hireAll(c, s, place, server); err != nil {
		return t, err
	}
	if err := c.ready(ctx); err != nil {
		return t, err
	}
	w, err := observe(databaseIn(place))
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	zero := c.start()
	limit := zero.Add(s.deadline() + stopLimit)
	processes := c.processes()
	c.wait(ctx, processes, limit, func() { l.look(look, processes, zero) })
	c.drain(ctx, limit)
	// Its own connections are the last: the database is looked into when no
	// process is left, and before the strategy's own are gone it would be
	// another one that locks.
	if err := errors.Join(w.end(), c.dismiss()); err != nil {
		return t, err
	}
	inTable, err := readTable(context.WithoutCancel(ctx), place, s)
	if err != nil {
		return t, err
	}
	t = measure(s, c.accounts(), c.writerAccount(), inTable, ctx.Err() != nil)
	w.testify(&t, zero, c.accounts())
	return t, nil
}

// hireAll starts the children; the writer first, it has more to prepare.
func (l *Lab) hireAll(c *crew, s Setting, place, server string) error {
	spec := Spec{Setting: s, Database: databaseIn(place), Server: server, Verbose: l.Verbose}
	log := l.Log
	if !l.Verbose {
		log = nil
	} else {
		log.Info("trial", "strategy", s.Strategy, "size", s.size())
	}
	from := 1
	if find(s.Strategy).Queue.writer() {
		from = 0
	}
	for spec.Process = from; spec.Process <= s.Processes; spec.Process++ {
		if err := c.hire(l.Binary, spec, log); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) look(k Look, members []*member, zero time.Time) {
	if l.Look == nil {
		return
	}
	for _, m := range members {
		k.Rows += int(m.rows.Load())
	}
	k.Since = time.Since(zero)
	l.Look(k)
}

// drain lets the writer store what is queued.
func (c *crew) drain(ctx context.Context, limit time.Time) {
	if c.writer == nil {
		return
	}
	c.writer.tell("drain")
	patience := drainLimit
	if ctx.Err() != nil {
		patience = stopLimit // someone pressed Ctrl-C and waits
	}
	if l := time.Now().Add(patience); l.After(limit) || ctx.Err() != nil {
		limit = l
	}
	c.wait(context.WithoutCancel(ctx), []*member{c.writer}, limit, func() {})
}

// place makes the folder of a trial, and says how it is removed again.
func (l *Lab) place(s Setting) (dir string, remove func() error, err error) {
	parent := l.Dir
	if l.Keep != "" {
		parent = l.Keep
	}
	if parent, err = filepath.Abs(parent); err != nil {
		return "", nil, err
	}
	if l.Keep != "" {
		l.kept++
		dir = filepath.Join(parent, fmt.Sprintf("%02d-%s-%dx%d-task-%s", l.kept, s.Strategy, s.Processes, s.Rows, s.Task))
		// What an earlier run left there would be counted as stored.
		if err := os.RemoveAll(dir); err != nil {
			return "", nil, err
		}
		return dir, func() error { return nil }, os.MkdirAll(dir, 0o755)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, fmt.Errorf("lab: make the folder for the databases: %w", err)
	}
	if dir, err = os.MkdirTemp(parent, "contention-"); err != nil {
		return "", nil, fmt.Errorf("lab: make the folder for the databases: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}
