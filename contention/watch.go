package main

// contention watch: which process holds which lock on a database.
//
// This process must not have a connection to that database: see the
// documentation of turnstile/internal/locks.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/web"
)

const watchHead = `Show which process holds which lock on an SQLite database, since when, and who
pins its WAL.

Usage:
  contention watch FILE [flags]

It works on any database of this machine, in rollback and in WAL mode, and
writes nothing. It samples every 10 ms, reports every lock held for 100 ms or
more, and ends with a summary at Ctrl-C.

  contention watch app.db
  contention watch app.db --once                 what is locked now; exit status
                                                 3 if it blocks others
  contention watch app.db --for 1m --alert 2s    exit status 3 if a lock was
                                                 held for 2 s or more
  contention watch app.db --record night.json    keep the newest holds, for
                                                 contention report night.json
  contention watch app.db --http 127.0.0.1:8090  the holders as lanes, live in a
                                                 browser
  contention watch app.db --format json | jq .   one JSON document a line

On a container host, run watch in one container that sees all processes (exit
status as below):

  docker run --rm --pid=host --user 0 --cap-add SYS_PTRACE \
    -v /srv/app:/srv/app turnstile contention watch /srv/app/app.db`

const watchManual = `Exit status: 3 with --once if a lock blocks other processes, with --alert if one
did so that long; 0 if there was none; 1 after an error, or if there may be a
lock that watch cannot see.

Not visible: a waiter leaves no trace, because SQLite polls for a lock.
Processes that have the file open and hold no lock "may be waiting". A lock held
for less than the interval may be missed. Several short holds in a row look like
one: the number of changes to the file tells them apart.

The WAL: a checkpoint copies its frames (pages) into the database file, oldest
first. It stops at the first frame that is newer than the snapshot of a reader.
That reader pins the frames from there on, and the WAL grows until it ends.

--http ADDRESS shows the recording on a live page: a lane for each process that
holds a lock or has the file open, the size of the WAL and how much of it is
pinned. Only this machine can open it, unless --http-host NAME says under which
name others reach it; it has no login.

--record FILE keeps at least the newest 10,000 holds of 100 ms or more, as many
shorter ones, and the size of the WAL. It replaces the file every 10 s. The
schema is that of a recording of contention --format json; each lane is a
process, and time 0 is "zero".

JSON, --once: one document
  {"file","at","journal_mode":"wal|rollback|unknown","visible":true,
   "locks":[{"pid","command","user","state","started","container","inner_pid",
             "lock":"reserved|pending|exclusive|shared|
                     wal-write|wal-checkpoint|wal-recover|wal-read",
             "idle","seen_ms","changes"}],
   "open":[{"pid","command","user","state","started","container","inner_pid"}],
   "wal":{"bytes","page_size","frames","copied","pinned_frames","pinned_bytes",
          "readers":[{"pid","command","since","pinned_frames","pinned_bytes"}]},
   "unseen":[],"note"}
  visible: false if the holder of a lock is hidden, or may be; note says why.
  unseen: why there may be locks that are not listed. pid: 0 for a process in
  another PID namespace or on another machine, -1 for an open file description's
  lock, which belongs to no process. state: running, sleeping, disk wait,
  stopped, traced, zombie. inner_pid: its PID in its own PID namespace (a
  container), else 0. idle: an exclusive lock without an open transaction.
  seen_ms: for how long it is known to have been held. changes: between how many
  samples the file was written to. open: processes that have the file open and
  hold none of the locks. wal: null outside of WAL mode. copied: frames that are
  in the database file already. A process with several locks is listed with the
  strongest on the file, and with those on the -shm file that do not follow from
  another.
JSON, without --once: one document a line. The first is the one above, then
  {"hold":{"pid","command","lock","from","until","seen_ms","changes","ended",
           "idle",
           "stages":[{"lock","seen_ms"}],"open":[PID]}}
      a lock held for 100 ms or more: "ended": false when it gets that old, true
      when it is gone; stages: each lock level and how long it lasted; open:
      processes that may have been waiting
  {"alert":{...}}
      the same, when a lock that blocks others reaches --alert, and each time
      that doubles
  {"note":"..."}
      anything else
  {"summary":{"file","from","until","interval_ms","samples","longest_gap_ms",
   "missed_ms","write_locked",
   "processes":[{"pid","command","lock",
                 "class":"write|read|checkpoint|recovery",
                 "share","holds","longest_ms"}],
   "open":[{...}],
   "wal":{"bytes_before","bytes_after","pinned_frames","pinned_bytes","pid",
          "command"},
   "alerts","interrupted":true}}
      the last; missed_ms: time without samples; write_locked and share: of the
      samples, 0 to 1; holds: of 100 ms or more; open: who had the file open
      while a lock blocked others; wal: with the reader that pinned the most`

const (
	// minHold is how long a lock must be held to be reported.
	minHold = 100 * time.Millisecond
	// onceWindow is how long --once looks at a lock to tell its age and whether
	// it is one transaction or many.
	onceWindow = 100 * time.Millisecond
	// crowdInterval is how often watch looks who else has the file open, which
	// takes milliseconds on a machine with many processes.
	crowdInterval = time.Second
	// walWarning is the size at which a WAL is worth a warning.
	walWarning = 256 << 20
)

type watchConfig struct {
	file     string
	once     bool
	interval time.Duration
	duration time.Duration // 0: until Ctrl-C
	alert    time.Duration // 0: none
	record   string        // file of the recording; "": none
	format   string
	page     *pageFlags
	flags    *cli.Flags
}

func parseWatch(args []string, env cli.Env) (c watchConfig, done bool, err error) {
	f := cli.NewFlags("contention watch", watchHead)
	f.BoolVar(&c.once, "once", false, "show the locks that are held now and exit")
	f.DurationVar(&c.duration, "for", 0, "exit after `TIME`, such as 1m")
	f.DurationVar(&c.alert, "alert", 0, "alert when a lock blocks others for `TIME`, and when that doubles")
	f.StringVar(&c.record, "record", "", "keep the newest holds in `FILE` (JSON); contention report FILE shows them")
	f.DurationVar(&c.interval, "interval", 10*time.Millisecond, "take a sample every `TIME`")
	f.StringVar(&c.format, "format", "text", "`FORM` of the result: text, json")
	c.page, c.flags = addPageFlags(f), f
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
		return c, false, cli.Usagef("use one of: text, json", "--format is %q", c.format)
	case c.interval < time.Millisecond || c.interval > time.Minute:
		return c, false, cli.Usagef("for example --interval 10ms", "--interval is %s, want 1ms to 1m", c.interval)
	case c.duration < 0 || f.Changed("for") && c.duration == 0:
		return c, false, cli.Usagef("for example --for 1m", "--for is %s, want more than 0", c.duration)
	case c.alert < 0 || f.Changed("alert") && c.alert == 0:
		return c, false, cli.Usagef("for example --alert 2s", "--alert is %s, want more than 0", c.alert)
	case c.once && (c.duration > 0 || c.alert > 0 || c.record != "" || c.page.addr != ""):
		return c, false, cli.Usagef("contention watch "+quoted(f.Arg(0))+" --for 1m --alert 2s", "--once exits at once: --for, --alert, --record and --http are for a longer watch")
	}
	c.file = f.Arg(0)
	return c, false, c.page.check()
}

func watch(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parseWatch(args, env)
	if done || err != nil {
		return err
	}
	w, err := locks.NewWatcher(c.file)
	switch {
	case errors.Is(err, locks.ErrUnsupported):
		return watchUnsupported(c, env, err)
	case errors.Is(err, fs.ErrNotExist):
		return cli.WithHint(fmt.Errorf("there is no file %s", c.file), watchHint(c.file, err))
	case err != nil:
		return cli.WithHint(err, watchHint(c.file, err))
	}
	out := newWatchOutput(c, env)
	if c.once {
		err = watchOnce(ctx, w, out)
	} else {
		err = watchOn(ctx, newFollower(w, out), env)
	}
	return errors.Join(err, w.Close())
}

// watchOn follows a database, with a recording and a page if they were asked for.
func watchOn(ctx context.Context, f *follower, env cli.Env) error {
	c := f.out.config
	if c.record != "" || c.page.addr != "" {
		f.recorder = newRecorder(c.record, f.w.Path(), time.Now())
		if err := f.recorder.save(); err != nil { // a folder that cannot be written to is noticed now
			return err
		}
	}
	g, err := startPage(ctx, c.page, web.NewConfigMessage("Who holds the lock of "+c.file, "contention watch "+c.file, "", nil), false, c.flags.Logger(env))
	if err != nil {
		return err
	}
	if g != nil {
		fmt.Fprintf(env.Stderr, "The page is at %s\n", g.server.URL())
		g.begin()
		f.page = &watchPage{page: g, recorder: f.recorder}
	}
	err = f.follow(ctx)
	g.end("The watch is over.")
	return errors.Join(err, f.recorder.save())
}

// errUnseen is returned if there may be locks that watch cannot see, so that a
// script does not take silence for "not locked".
func errUnseen(reasons []string) error {
	return cli.WithHint(fmt.Errorf("there may be a lock that is not visible: %s", strings.Join(reasons, "; ")),
		"run it on the machine, and as the user, of the programs that use the file")
}

// watchUnsupported says what is known on a system that does not tell lock
// holders.
func watchUnsupported(c watchConfig, env cli.Env, why error) error {
	mode, err := locks.Mode(c.file)
	if err != nil {
		return cli.WithHint(err, watchHint(c.file, err))
	}
	hint := "run it on Linux, or see who has the file open: lsof " + c.file
	if !c.once {
		return cli.WithHint(why, hint)
	}
	d := watchDoc{
		File: c.file, At: time.Now(), Mode: mode, Locks: []watchLock{}, Open: []watchProcess{},
		Unseen: []string{why.Error()}, Note: why.Error(),
	}
	return errors.Join(newWatchOutput(c, env).look(d), cli.WithHint(why, hint))
}

// watchOnce looks once. If it sees a lock, it goes on looking for a moment, to
// tell for how long the lock is held and whether by one transaction.
func watchOnce(ctx context.Context, w *locks.Watcher, out *watchOutput) error {
	start := time.Now()
	v, err := w.Look(start)
	if err != nil {
		return err
	}
	d := newWatchDoc(out.config.file, w, v, start)
	tracker := locks.NewTracker(0)
	tracker.Add(start, v.Locks, false)
	for now := start; len(v.Locks) > 0 && now.Sub(start) < onceWindow && ctx.Err() == nil; {
		time.Sleep(min(out.config.interval, onceWindow))
		now = time.Now()
		if v, err = w.Look(now); err != nil {
			break // the file is gone; what was seen was there
		}
		d.until = now
		for _, h := range slices.Concat(tracker.Add(now, v.Locks, v.Changed), tracker.Current()) {
			d.extend(h)
		}
	}
	if err := out.look(d); err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(d.Locks, func(l watchLock) bool { return l.Lock.Blocks() }):
		return cli.ErrFound
	case len(d.Unseen) > 0:
		return errUnseen(d.Unseen)
	}
	return nil
}

// follower looks again and again.
type follower struct {
	w       *locks.Watcher
	out     *watchOutput
	tracker *locks.Tracker

	note     string // what was said last about what can be seen
	unseen   []string
	last     time.Time // of the last look
	missed   time.Duration
	drawn    time.Time
	alerts   map[alertKey]time.Duration // age at which a hold alerts next
	alerted  int
	crowd    crowd
	wal      walHistory
	walAlert int64      // size of the WAL for the next warning
	recorder *recorder  // nil: none
	page     *watchPage // nil: none
}

type alertKey struct {
	pid   int
	class locks.Class
	from  time.Time
}

func newFollower(w *locks.Watcher, out *watchOutput) *follower {
	return &follower{w: w, out: out, tracker: locks.NewTracker(minHold), alerts: map[alertKey]time.Duration{}, walAlert: walWarning}
}

// follow looks until the context ends, or for as long as it was asked to.
func (f *follower) follow(ctx context.Context) error {
	if f.out.config.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.out.config.duration)
		defer cancel()
	}
	tick := time.NewTicker(f.out.config.interval)
	defer tick.Stop()
	for first := true; ; first = false {
		now := time.Now()
		v, err := f.w.Look(now)
		if err != nil && (first || !errors.Is(err, fs.ErrNotExist)) {
			return errors.Join(err, f.summary(false))
		}
		if first {
			f.note, f.last = noteText(v, err), now
			err = f.out.begin(newWatchDoc(f.out.config.file, f.w, v, now))
		} else {
			err = f.changes(now, v, err)
		}
		if err == nil {
			err = f.holds(now, v)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.end(!errors.Is(ctx.Err(), context.DeadlineExceeded))
		case <-tick.C:
		}
	}
}

// end writes the summary and returns what the exit status depends on.
func (f *follower) end(interrupted bool) error {
	if err := f.summary(interrupted); err != nil {
		return err
	}
	switch {
	case f.alerted > 0:
		return cli.ErrFound
	case f.out.config.alert > 0 && len(f.unseen) > 0:
		return errUnseen(f.unseen)
	}
	return nil
}

// changes reports what has changed about what can be seen.
func (f *follower) changes(now time.Time, v locks.View, err error) error {
	if gap := now.Sub(f.last); gap > max(500*time.Millisecond, 10*f.out.config.interval) {
		f.missed += gap
		if err := f.say(now, "gap", fmt.Sprintf("watch took no sample for %s (a busy or suspended machine): locks of that time were missed", shortTime(gap))); err != nil {
			return err
		}
	}
	f.last, f.unseen = now, v.Unseen
	if said := noteText(v, err); said != f.note {
		before := f.note
		f.note = said
		return f.say(now, "info", noteChange(before, said))
	}
	return nil
}

// say reports and records what is not a lock.
func (f *follower) say(now time.Time, kind, text string) error {
	f.recorder.note(now, kind, nil, text)
	return f.out.note(now, text)
}

// holds reports locks that are held for long, and who may be waiting for them.
func (f *follower) holds(now time.Time, v locks.View) error {
	events := f.tracker.Add(now, v.Locks, v.Changed)
	current := f.tracker.Current()
	blocked := slices.ContainsFunc(current, func(h locks.Hold) bool { return h.Lock.Blocks() && h.Seen() >= minHold })
	if blocked || slices.ContainsFunc(events, func(h locks.Hold) bool { return h.Lock.Blocks() }) {
		f.crowd.refresh(now, f.w, v)
	}
	for _, h := range events {
		if s := waitersText(h, f.crowd.open); s != "" && !h.Ended {
			f.recorder.note(now, "info", &h, strings.TrimPrefix(s, "; "))
		}
		if err := f.out.hold(now, h, f.crowd.open); err != nil {
			return err
		}
	}
	if err := f.recorder.add(now, v); err != nil {
		return err
	}
	f.page.add(now, f, v)
	if err := f.alert(now, current); err != nil {
		return err
	}
	if v.WAL != nil {
		f.wal.add(v.WAL)
		if v.WAL.Size >= f.walAlert {
			f.walAlert = 2 * v.WAL.Size
			if err := f.say(now, "info", walWarningText(v.WAL)); err != nil {
				return err
			}
		}
	}
	if now.Sub(f.drawn) >= redrawInterval {
		f.drawn = now
		f.out.status(now, current, f.crowd.open)
	}
	return nil
}

// alert reports locks that block others for longer than --alert.
func (f *follower) alert(now time.Time, current []locks.Hold) error {
	if f.out.config.alert == 0 {
		return nil
	}
	next := make(map[alertKey]time.Duration, len(current))
	for _, h := range current {
		if !h.Lock.Blocks() {
			continue
		}
		key := alertKey{h.PID, h.Lock.Class(), h.From}
		at, ok := f.alerts[key]
		if !ok {
			at = f.out.config.alert
		}
		if h.Seen() >= at {
			f.alerted++
			for at <= h.Seen() {
				at *= 2
			}
			f.recorder.note(now, "alert", &h, alertText(h, f.crowd.open))
			if err := f.out.alert(now, h, f.crowd.open); err != nil {
				return err
			}
		}
		next[key] = at
	}
	f.alerts = next
	return nil
}

func (f *follower) summary(interrupted bool) error {
	s := newWatchSummary(f.out.config.file, f.out.config.interval, f.tracker.Summary(), interrupted)
	s.MissedMS, s.Alerts, s.Open, s.WAL = f.missed.Milliseconds(), f.alerted, f.crowd.seen(), f.wal.summary()
	return f.out.summary(s)
}

// crowd is who has the file open and holds no lock.
type crowd struct {
	open   []locks.Process // at the last look
	looked time.Time
	all    []locks.Process // at any look
}

func (c *crowd) refresh(now time.Time, w *locks.Watcher, v locks.View) {
	if now.Sub(c.looked) < crowdInterval {
		return
	}
	c.open, _ = w.Open(v.Locks)
	c.looked = now
	const most = 1000 // a bound for a watch that lasts for weeks
	for _, p := range c.open {
		if len(c.all) < most && !slices.ContainsFunc(c.all, func(o locks.Process) bool { return o.PID == p.PID }) {
			c.all = append(c.all, p)
		}
	}
}

func (c *crowd) seen() []watchProcess {
	seen := []watchProcess{}
	for _, p := range c.all {
		seen = append(seen, newWatchProcess(p))
	}
	return seen
}

// walHistory is how the WAL grew, and which reader pinned most of it.
type walHistory struct {
	seen          bool
	before, after int64
	reader        locks.Reader
	bytes         int64 // pinned by the reader
}

func (h *walHistory) add(w *locks.WALState) {
	if !h.seen {
		h.seen, h.before = true, w.Size
	}
	h.after = w.Size
	if len(w.Readers) > 0 && w.Readers[0].Pinned > h.reader.Pinned {
		h.reader, h.bytes = w.Readers[0], w.Bytes(w.Readers[0].Pinned)
	}
}

func (h *walHistory) summary() *watchWALSummary {
	if !h.seen {
		return nil
	}
	return &watchWALSummary{h.before, h.after, h.reader.Pinned, h.bytes, h.reader.PID, h.reader.Command}
}
