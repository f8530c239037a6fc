package main

// contention watch: who holds the lock on a database, right now.
//
// It has no connection to that database, and must not get one: see the
// documentation of turnstile/internal/locks.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
)

const watchHead = `Say who holds the lock on an SQLite database: which process, which lock, for how long.

Usage:
  contention watch FILE [flags]

It works on any database of this machine, in rollback and in WAL mode, and touches nothing. It
looks every 10 ms, reports every lock held for 100 ms or more, and ends with a summary at Ctrl-C.

  contention watch app.db
  contention watch app.db --once                   what is locked at this moment
  contention watch app.db --format json | jq .     one JSON document a line`

const watchManual = `What it can't see: SQLite polls, so who waits for a lock leaves no trace; processes that have the file
open and hold nothing "may be waiting". A lock shorter than the interval is seen now and then only,
and short ones in a row look like one long one: the count of changes to the file tells them apart.

JSON, --once: one document
  {"file","at","journal_mode":"wal|rollback|unknown","visible":true,
   "locks":[{"pid","command","lock":"reserved|pending|exclusive|shared|wal-write|wal-checkpoint|
             wal-recover|wal-read","seen_ms"}],
   "open":[{"pid","command"}],"note"}
  visible: false where the holder of a lock is hidden, or may be; note says why. pid: 0 for a process
  in another PID namespace or on another machine, -1 for an open file description's lock that no
  process could be found for. seen_ms: for how long it has been seen; 0 with --once. open: has the
  file open, holds none of the locks. A process with several locks is listed with the strongest of
  the file, and of the -shm file with those that don't follow from another.
JSON, without --once: one document a line. The first is the one above, then
  {"hold":{"pid","command","lock","from","until","seen_ms","changes","ended"}}
                       a lock held for 100 ms or more: "ended": false when it gets that old, true
                       when it is gone; changes: between how many samples the file was written to
  {"note":"..."}       whatever else there is to say
  {"summary":{"file","from","until","interval_ms","samples","longest_gap_ms","write_locked",
   "processes":[{"pid","command","lock","class":"write|read|checkpoint|recovery","share","holds",
   "longest_ms"}],"interrupted":true}}
                       the last; write_locked and share: of the samples, 0 to 1; holds: of 100 ms or
                       more`

// leastHold is how long a lock must be held to be worth a line.
const leastHold = 100 * time.Millisecond

type watchConfig struct {
	file     string
	once     bool
	interval time.Duration
	format   string
}

func parseWatch(args []string, env cli.Env) (c watchConfig, done bool, err error) {
	f := cli.NewFlags("contention watch", watchHead)
	f.BoolVar(&c.once, "once", false, "look once")
	f.DurationVar(&c.interval, "interval", 10*time.Millisecond, "look every `TIME`")
	f.StringVar(&c.format, "format", "text", "`FORM` of the result: text, json")
	f.Manual(watchManual)
	if done, err = f.Parse(args, env); done || err != nil {
		return c, done, err
	}
	switch {
	case f.NArg() == 0:
		return c, false, cli.Usagef("contention watch app.db", "which database?")
	case f.NArg() > 1:
		return c, false, cli.Usagef("contention watch --help", "one database at a time: unexpected argument %q", f.Arg(1))
	case c.format != "text" && c.format != "json":
		return c, false, cli.Usagef("one of text, json", "--format is %q", c.format)
	case c.interval < time.Millisecond || c.interval > time.Minute:
		return c, false, cli.Usagef("for example --interval 10ms", "--interval is %s, want 1ms to 1m", c.interval)
	}
	c.file = f.Arg(0)
	return c, false, nil
}

func watch(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parseWatch(args, env)
	if done || err != nil {
		return err
	}
	w, err := locks.NewWatcher(c.file)
	switch {
	case errors.Is(err, locks.ErrUnsupported):
		return watchBlind(c, env, err)
	case err != nil:
		return cli.WithHint(err, watchHint(c.file, err))
	}
	out := watchOutput{config: c, env: env, colour: cli.Colour(env.Stdout)}
	if c.once {
		err = watchOnce(w, out)
	} else {
		err = watchOn(ctx, w, out)
	}
	return errors.Join(err, w.Close())
}

// watchHint knows the usual mistakes.
func watchHint(file string, err error) string {
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if base, ok := strings.CutSuffix(file, end); ok {
			return "name the database itself: contention watch " + base
		}
	}
	switch {
	case errors.Is(err, locks.ErrNotDatabase):
		return "a file that is encrypted as a whole looks like none either"
	case errors.Is(err, fs.ErrPermission):
		return "run it as the owner of the file, or as root"
	}
	return ""
}

// watchBlind is watch where the system tells nothing: what is known, and that
// it is not more.
func watchBlind(c watchConfig, env cli.Env, why error) error {
	mode, err := locks.Mode(c.file)
	if err != nil {
		return cli.WithHint(err, watchHint(c.file, err))
	}
	if !c.once {
		return cli.WithHint(why, "run it on Linux, or see who has the file open: lsof "+c.file)
	}
	d := watchDoc{File: c.file, At: time.Now(), Mode: mode, Locks: []watchLock{}, Open: []watchProcess{}, Note: why.Error()}
	return watchOutput{config: c, env: env}.look(d)
}

func watchOnce(w *locks.Watcher, out watchOutput) error {
	now := time.Now()
	v, err := w.Look(now)
	if err != nil {
		return err
	}
	return out.look(newWatchDoc(out.config.file, w, v, now))
}

// watchOn looks until the context ends, which is how it is meant to end.
func watchOn(ctx context.Context, w *locks.Watcher, out watchOutput) error {
	tracker := locks.NewTracker(leastHold)
	tick := time.NewTicker(out.config.interval)
	defer tick.Stop()
	var drawn time.Time
	for first, note := true, ""; ; {
		now := time.Now()
		v, err := w.Look(now)
		if err != nil && (first || !errors.Is(err, fs.ErrNotExist)) {
			return errors.Join(err, out.summary(tracker.Summary(), false))
		}
		if said := watchNote(v, err); first {
			first, note = false, said
			if err := out.begin(newWatchDoc(out.config.file, w, v, now)); err != nil {
				return err
			}
		} else if said != note {
			if err := out.note(now, news(note, said)); err != nil {
				return err
			}
			note = said
		}
		for _, h := range tracker.Add(now, v.Locks, v.Changed) {
			if err := out.hold(now, h, func() []locks.Process { open, _ := w.Open(v.Locks); return open }); err != nil {
				return err
			}
		}
		if now.Sub(drawn) >= redraw {
			drawn = now
			out.status(now, tracker.Current())
		}
		select {
		case <-ctx.Done():
			return out.summary(tracker.Summary(), true)
		case <-tick.C:
		}
	}
}

const fileGone = "the file is gone; watching for it to come back"

// watchNote is what there is to say beside the locks.
func watchNote(v locks.View, err error) string {
	if err != nil {
		return fileGone
	}
	return strings.Join(v.Notes, "; ")
}

// news puts a change of the note into words.
func news(before, now string) string {
	switch {
	case now != "":
		return now
	case before == fileGone:
		return "the file is back"
	}
	return "no lock is hidden any more"
}

// A watchOutput shows what is seen, as text or as JSON.
type watchOutput struct {
	config watchConfig
	env    cli.Env
	colour bool
}

func (o watchOutput) write(text string) error {
	if _, err := io.WriteString(o.env.Stdout, text); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// live says whether a line that changes is of use.
func (o watchOutput) live() bool {
	return o.config.format == "text" && o.env.Stdout == os.Stdout && cli.Terminal(o.env.Stdout)
}
