package main

// The flags of contention, made into the settings of trials.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/lab/report"
)

const head = `Run many processes that write to one SQLite file, and measure which strategy
works best.

Usage:
  contention [flags]       run trials and compare strategies
  contention scene NAME    play a lock problem step by step (or: scene list)
  contention watch FILE    show who holds the lock of a database, right now
  contention report FILE   show a saved result again
  contention about         show what a result on this machine depends on

Without flags it shows "database is locked" as it happens, then compares six
strategies, in about ten seconds. Describe your own program, and it compares the
strategies for that:

  contention --processes 8 --task 50ms
             eight processes, 50 ms of work behind each row
  contention --processes 3 --rows 2 --task 3s --strategies direct,queued
             three processes, two rows, 3 s of work each
  contention --processes 1,4,16 --task 0 --for 2s --strategies all
             which strategy is fastest, at each number
  contention --task 0 --strategies direct -v
             what each process does, and when
  contention --http 127.0.0.1:8090
             who holds the lock and who waits, live in a browser
  contention --html report.html
             a page: who held the lock, who waited, and why rows were lost
  contention --output result.json
             keep the result, for a program or contention report`

// strategiesManual says why there is no strategy that lets SQLite do it.
const strategiesManual = `
SQLite does not queue its waiters on Linux: with a busy timeout each waiter
polls, and sleeps up to 100 ms between attempts, so there is no order.
sqlite3_setlk_timeout() has no effect there. The single writer of queued and
confirmed is a separate process, which also embeds the broker.
`

// pageManual is about --http.
const pageManual = `Live page (--http): the lanes grow while the trials run. It stays until Ctrl-C.
"Run again" runs what was typed again, and writes the result again. Only this
machine can open it; --http-host NAME lets others, who then see it without a
login: over ssh -L that is not needed.

`

const formatsManual = `JSON (--format json, or --output FILE.json): one document,
  {"version":1,"command":"","about":{},"about_line":"","warning":"",
   "interrupted":false,"trials":[],"findings":[]}
with one object a trial, in the order task, processes, strategy as typed:
  strategy, processes, rows_per_process (null with --for), for_ms (null
  without), rows_per_transaction, task_ms, busy_timeout_ms,
  offered_rows_per_second, deadline_ms (null if not given), introduction,
  journal_mode, synchronous: what was asked for
  asked, stored (counted in the database), lost (failed, or owned by a process
  that died), not_begun (or rolled back, because the run was interrupted; not in
  asked), unaccounted (asked - stored - lost; anything but 0 is exit status 1):
  rows
  errors: transactions by SQLite's extended result code, {} if there were none
  seconds: from the start barrier to the last row in the table
  published_seconds: to the last row on the queue's disk, null without a queue
  rows_per_second: stored rows by seconds
  rows_per_commit: of the single writer, null without one
  wait_ms {p50, p99, max, samples, worst}: from when a row is ready to its
  commit or failure, less the task; p99 is null under 100 samples; worst is the
  process that waited longest
  per_process {min, max}: fewest and most rows of a process, with --rows when
  the first process was done; fairness: Jain's index of the same (1: even, 1/n:
  one process has all); process_results: [{process, rows, busy, max_wait_ms}]
  lock_held_ms: hold time of the lock, all holders together
  holders: [{process, pid, holds, held_ms, longest_ms}], the longest hold first
  lock_wait_ms {total, nobody_held, held_while_waiting}: all waits for SQLite's
  lock added up, the part in which no process held it, and how long it was held
  while another process waited
  busy_waits: the longest waits of each process that ended with SQLITE_BUSY:
  [{process, row, code, at_ms, waited_ms, holders: [{process, held_ms, holds}],
  nobody_ms, observed: {process, pid, lock, external}}]; observed is what the
  operating system's table of locks showed, or null
  deaths: [{process, how, rows}]; start_spread_ms, restart_spreads_ms;
  interrupted, timed_out
  repeat: how often the trial ran; the figures are those of the run with the
  median rows_per_second, range has the [least, most] of all runs, or is {}
  recording: what each process did when, {version, source, title, zero, lanes,
  notes, series, dropped}. A lane has process, pid, waits_for (lock, turn, queue
  or commit) and its events as columns of microseconds, delta-encoded: ready
  counts from the end of the previous event; wants, begun (has the lock),
  released and end each count from the time before it in the same event, -1 if
  the event did not reach that step. first, rows, task, code and unfinished
  (indexes) are omitted where empty. At most 200,000 events; dropped says how
  many there were and which were kept
CSV has one line a trial, Markdown a table a size. Findings and the
recommendation are sentences.`

type config struct {
	settings  []report.Setting
	repeat    int
	dir, keep string
	verbose   bool
	flags     *cli.Flags
	result    *cli.Result
	trace     *string // file for the time line, or ""
	page      *pageFlags
	html      *htmlFlags
}

// values are the flags as typed.
type values struct {
	processes      []int
	rows           int
	duration       time.Duration
	tasks          []time.Duration
	strategies     []string
	perTransaction int
	busy           time.Duration
	sync           string
	offered        string
	deadline       time.Duration
}

func parse(args []string, env cli.Env) (c config, done bool, err error) {
	var v values
	f := cli.NewFlags("contention", head)
	f.IntSliceVar(&v.processes, "processes", []int{4}, "how many processes write at once: `N`, or a list with commas")
	f.IntVar(&v.rows, "rows", 10, "each process writes `N` rows")
	f.DurationVar(&v.duration, "for", 0, "instead of --rows: write for a `TIME`, such as 5s")
	f.DurationSliceVar(&v.tasks, "task", []time.Duration{20 * time.Millisecond},
		"the `TIME` of the work behind each row, or a list; 0: none")
	f.StringSliceVar(&v.strategies, "strategies", []string{"direct", "consumers", "short", "turns", "queued", "confirmed"},
		"`NAMES` with commas, or all; --help-all describes them")
	f.Lookup("strategies").DefValue = "six of them" // their names do not fit a line
	f.DurationVar(&v.busy, "busy-timeout", 5*time.Second, "`TIME` to wait for a lock before SQLITE_BUSY")
	f.IntVar(&c.repeat, "repeat", 1, "run each trial `N` times, report median and range")
	f.StringVar(&c.keep, "keep", "", "keep the databases in `DIR`, a new or empty folder")
	c.result = f.ResultFlags("text", "json", "markdown", "csv")
	c.trace = traceFlag(f)
	c.page = addPageFlags(f)
	c.html = addHTMLFlags(f, true)
	f.IntVar(&v.perTransaction, "rows-per-transaction", 1, "`N` rows in each transaction or message")
	f.StringVar(&v.sync, "sync", "full", "`MODE` full: a commit survives a power cut; normal: perhaps not")
	f.StringVar(&v.offered, "offered", "", "rows become ready at a `RATE`, such as 200/s, of all processes")
	f.DurationVar(&v.deadline, "deadline", 0, "end a trial after `TIME` (default: all its tasks, and a minute)")
	f.StringVar(&c.dir, "dir", "var", "`DIR` for the databases of the trials: the disk matters")
	f.Advanced("rows-per-transaction", "sync", "offered", "deadline", "dir", "trace")
	f.Manual("Strategies:\n" + report.Manual(cli.HelpWidth) + strategiesManual + "\n" + pageManual + formatsManual)
	if done, err = f.Parse(args, env); done || err != nil {
		return c, done, err
	}
	if err := f.NoArgs(); err != nil {
		return c, false, err
	}
	c.verbose, c.flags = f.Verbose(), f
	if err := checkKeep(c.keep); err != nil {
		return c, false, err
	}
	if f.Changed("for") && v.duration == 0 {
		return c, false, cli.Usagef("for example --for 5s", "--for is 0, want more")
	}
	if err := v.check(f.Changed("rows"), c.repeat); err != nil {
		return c, false, err
	}
	if c.settings, err = v.settings(slices.ContainsFunc([]string{"processes", "rows", "for", "task", "strategies"}, f.Changed)); err != nil {
		return c, false, err
	}
	return c, false, errors.Join(c.page.check(), c.result.Check())
}

// checkKeep refuses a folder that has something in it: the databases of an
// earlier run, or what is not the lab's.
func checkKeep(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return cli.Usagef("a new folder: --keep "+filepath.Join(dir, "new"), "--keep %s is not empty", dir)
	}
	return nil
}

const (
	maxProcesses = 256
	maxRows      = 1_000_000_000
	maxBatch     = 1_000_000 // rows in a transaction: they are in memory
)

// check checks the values of the flags.
func (v *values) check(rowsGiven bool, repeat int) error {
	for _, n := range v.processes {
		if n < 1 || n > maxProcesses {
			return cli.Usagef("for example --processes 4", "--processes is %d, want 1 to %d", n, maxProcesses)
		}
	}
	for _, t := range v.tasks {
		if t < 0 {
			return cli.Usagef("--task 0 for none", "--task is %s, want 0 or more", t)
		}
	}
	for _, t := range append([]time.Duration{v.duration, v.busy, v.deadline}, v.tasks...) {
		if t > report.LongestTime {
			return cli.Usagef("a time such as 20ms, 5s or 1h", "a time of %s, want ten years at most", t)
		}
	}
	switch {
	case v.duration < 0:
		return cli.Usagef("for example --for 5s", "--for is %s, want more than 0", v.duration)
	case v.duration > 0 && rowsGiven:
		return cli.Usagef("--rows says how many, --for how long", "--rows and --for together")
	case v.rows < 1 || v.rows > maxRows:
		return cli.Usagef("for example --rows 10", "--rows is %d, want 1 to %d", v.rows, maxRows)
	case v.perTransaction < 1 || v.perTransaction > maxBatch:
		return cli.Usagef("for example --rows-per-transaction 1", "--rows-per-transaction is %d, want 1 to %d", v.perTransaction, maxBatch)
	case v.busy < 0:
		return cli.Usagef("--busy-timeout 0 gives up at once", "--busy-timeout is %s, want 0 or more", v.busy)
	case v.deadline < 0:
		return cli.Usagef("for example --deadline 1m", "--deadline is %s, want more than 0", v.deadline)
	case v.sync != "full" && v.sync != "normal":
		return cli.Usagef("full or normal", "--sync is %q", v.sync)
	case repeat < 1:
		return cli.Usagef("for example --repeat 5", "--repeat is %d, want 1 or more", repeat)
	}
	return v.checkStrategies()
}

func (v *values) checkStrategies() error {
	if len(v.strategies) == 1 && v.strategies[0] == "all" {
		v.strategies = report.Names()
	}
	for i, name := range v.strategies {
		if !report.Known(name) {
			return cli.Usagef("use one of: "+strings.Join(report.Names(), ", ")+", or all", "there is no strategy %q", name)
		}
		if slices.Contains(v.strategies[:i], name) {
			return cli.Usagef("--repeat 2 runs everything twice", "strategy %s is named twice", name)
		}
	}
	if len(v.strategies) == 0 || len(v.processes) == 0 || len(v.tasks) == 0 {
		return cli.Usagef("contention --help", "an empty list")
	}
	return nil
}

// settings are the trials to run, in the order task, processes, strategy.
func (v *values) settings(own bool) ([]report.Setting, error) {
	rate, err := v.rate()
	if err != nil {
		return nil, err
	}
	var all []report.Setting
	if !own {
		all = v.introduction()
	}
	for _, task := range v.tasks {
		for _, processes := range v.processes {
			for _, strategy := range v.strategies {
				s := report.Setting{
					Strategy: strategy, Processes: processes, Rows: v.rows, For: v.duration, Task: task,
					PerTransaction: v.perTransaction, BusyTimeout: v.busy, Sync: v.sync, Offered: rate, Deadline: v.deadline,
				}
				if s.For > 0 {
					s.Rows = 0
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// introduction is the experiment this project began with, at a tenth of its
// times.
func (v *values) introduction() []report.Setting {
	s := report.Setting{
		Strategy: "direct", Processes: 3, Rows: 2, PerTransaction: 1, BusyTimeout: 500 * time.Millisecond,
		Sync: v.sync, Deadline: v.deadline, Introduction: true,
	}
	with := s
	with.Task = 300 * time.Millisecond
	return []report.Setting{s, with}
}

func (v *values) rate() (float64, error) {
	if v.offered == "" {
		return 0, nil
	}
	r, err := strconv.ParseFloat(strings.TrimSuffix(v.offered, "/s"), 64)
	if err != nil || !(r >= 0.001 && r <= 1e6) { // not NaN either
		return 0, cli.Usagef("for example --offered 200/s", "--offered is %q, want a rate of 0.001 to a million rows a second", v.offered)
	}
	return r, nil
}

// checkCommand returns the command that repeats the comparison that matters for
// a recommendation.
func checkCommand(a report.Advice) string {
	s := a.Setting
	c := fmt.Sprintf("%s --processes %d", cli.Invocation("contention"), s.Processes)
	if s.For > 0 {
		c += " --for " + s.For.String()
	} else {
		c += fmt.Sprintf(" --rows %d", s.Rows)
	}
	task := "0"
	if s.Task > 0 {
		task = s.Task.String()
	}
	c += " --task " + task
	if s.PerTransaction != 1 {
		c += fmt.Sprintf(" --rows-per-transaction %d", s.PerTransaction)
	}
	if s.Offered > 0 {
		c += fmt.Sprintf(" --offered %g/s", s.Offered)
	}
	if s.Sync != "full" {
		c += " --sync " + s.Sync
	}
	return c + " --strategies " + strings.Join(a.Strategies, ",") + " --repeat 5"
}
