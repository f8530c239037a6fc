// Package lab lets many real processes write to one SQLite file, each strategy
// in its own way, and measures the result.
//
// Begin with direct.go and the strategies beside it: each is one file, short
// enough to compare with another. They are listed in report/strategy.go and, with
// their start functions, in worker.go, which runs one in a child process.
// lab.go runs a trial: it starts the children, lets them go at one moment and
// collects what they record (children.go). Package report makes a result of
// that.
package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"turnstile/internal/lab/report"
)

// Lab runs trials.
type Lab struct {
	Binary   string         // this program: its first argument "child" makes it a process of a trial
	Dir      string         // where the databases are while they are needed
	Keep     string         // an empty folder, where they stay, or ""
	Verbose  bool           // log what each process does
	Log      *slog.Logger   //
	Progress func(Progress) // called now and then; may be nil
	Live     func(Live)     // called while a trial runs, at most four times a second; may be nil

	// Done is called with each trial, or the merged repeats of one, and its
	// number, from 1. May be nil.
	Done func(number int, t report.Trial)

	kept int // databases so far, to number them
}

// Progress says how far a run is.
type Progress struct {
	Setting report.Setting
	Trial   int // from 1
	Trials  int
	Rows    int // ended so far
	Since   time.Duration
}

// Live is what the processes of a running trial have done since the Live before.
type Live struct {
	Progress
	First     bool // the first of a run: what there was of the trial before does not count
	Recording report.Recording
}

// maxAttempts is how often a trial is run whose processes did not start
// together.
const maxAttempts = 3

// Run runs a trial for each setting, each repeated. If the context ends, it
// returns what there is, the last trial marked as interrupted.
func (l *Lab) Run(ctx context.Context, settings []report.Setting, repeat int) ([]report.Trial, error) {
	var trials []report.Trial
	for i, s := range settings {
		var runs []report.Trial
		for range repeat {
			t, err := l.runFair(ctx, s, Progress{Setting: s, Trial: i + 1, Trials: len(settings)})
			if err == nil {
				runs = append(runs, t)
			}
			if err == nil && ctx.Err() == nil {
				continue
			}
			if len(runs) > 0 {
				trials = append(trials, l.finish(i+1, runs))
			}
			return trials, errors.Join(ctx.Err(), err)
		}
		trials = append(trials, l.finish(i+1, runs))
	}
	return trials, nil
}

func (l *Lab) finish(number int, runs []report.Trial) report.Trial {
	t := report.Merge(runs)
	if l.Done != nil {
		l.Done(number, t)
	}
	return t
}

// runFair repeats a trial until its processes started together.
func (l *Lab) runFair(ctx context.Context, s report.Setting, progress Progress) (report.Trial, error) {
	var spreads []time.Duration
	for {
		t, err := l.runTrial(ctx, s, progress)
		if err != nil {
			return t, fmt.Errorf("trial %s: %w", s, err)
		}
		t.Restarts = spreads
		if t.StartSpread <= report.MaxStartSpread || ctx.Err() != nil {
			return t, nil
		}
		if spreads = append(spreads, t.StartSpread); len(spreads) == maxAttempts {
			t.Restarts = spreads
			return t, nil
		}
	}
}

func (l *Lab) runTrial(ctx context.Context, s report.Setting, progress Progress) (t report.Trial, err error) {
	dir, remove, err := l.makeFolder(s)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := createDatabase(ctx, dir, s); err != nil {
		return t, err
	}
	server, stop, err := startQueue(ctx, dir, s)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	c := &children{live: l.Live != nil}
	defer func() { err = errors.Join(err, c.end()) }()
	if err := l.startChildren(ctx, c, s, dir, server); err != nil {
		return t, err
	}
	if err := c.waitReady(ctx); err != nil {
		return t, err
	}
	o, err := observe(databasePath(dir))
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, o.end()) }()
	zero := c.release()
	limit := zero.Add(s.Limit() + stopLimit)
	tick := func() { l.showProgress(progress, c, zero) }
	c.wait(ctx, c.workers, limit, tick)
	c.drain(ctx, limit, tick)
	// The lab opens the database only when no process is left and the observer
	// has stopped: its own connection would be one more holder of locks, and
	// closing any descriptor of the file drops the locks of this process.
	if err := errors.Join(o.end(), c.end()); err != nil {
		return t, err
	}
	stored, err := readStoredRows(context.WithoutCancel(ctx), dir, s)
	if err != nil {
		return t, err
	}
	traces, writer := c.traces()
	t = report.Measure(s, traces, writer, stored, ctx.Err() != nil)
	if err := errors.Join(c.spoolErrors(), os.RemoveAll(spoolDir(dir))); err != nil {
		return t, fmt.Errorf("lab: read the events: %w", err)
	}
	t.Recording.Zero = zero.UTC().Round(0)
	o.addTo(&t, zero, traces)
	return t, nil
}

// startChildren starts the children. A writer comes first: the others need the
// URL of its broker.
func (l *Lab) startChildren(ctx context.Context, c *children, s report.Setting, dir, server string) error {
	j := job{Setting: s, Database: databasePath(dir), Server: server, Verbose: l.Verbose, Live: l.Live != nil}
	log := l.Log
	if !l.Verbose {
		log = nil
	} else {
		log.Info("trial", "strategy", s.Strategy, "size", s.Size())
	}
	if report.Find(s.Strategy).Queue.HasWriter() {
		err := c.start(l.Binary, dir, j, log)
		if err != nil {
			return err
		}
		if j.Server, err = c.waitServer(ctx); err != nil {
			return err
		}
	}
	for j.Process = 1; j.Process <= s.Processes; j.Process++ {
		if err := c.start(l.Binary, dir, j, log); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) showProgress(p Progress, c *children, zero time.Time) {
	for _, w := range c.workers {
		p.Rows += int(w.rows.Load())
	}
	p.Since = time.Since(zero)
	if l.Progress != nil {
		l.Progress(p)
	}
	if l.Live != nil && p.Since >= c.liveDue {
		first := c.liveDue == 0
		c.liveDue = p.Since + liveEvery
		l.Live(Live{p, first, c.recent(p.Setting, zero)})
	}
}

// makeFolder makes the folder of a trial, and returns how to remove it.
func (l *Lab) makeFolder(s report.Setting) (dir string, remove func() error, err error) {
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
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return "", nil, err
		}
		// Not MkdirAll: the rows of an earlier run would be counted as stored.
		return dir, func() error { return nil }, os.Mkdir(dir, 0o755)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", nil, fmt.Errorf("lab: make the folder for the databases: %w", err)
	}
	if dir, err = os.MkdirTemp(parent, "contention-"); err != nil {
		return "", nil, fmt.Errorf("lab: make the folder for the databases: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}
