package main

// The flags of contention, made into the settings of trials.

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/lab"
)

const head = `See many processes fight for one SQLite file, and measure what cures it.

Usage:
  contention [flags]             run trials and compare ways to write
  contention scene NAME          a small story of a lock, step by step (contention scene list)
  contention watch FILE          who holds the lock on a database of yours, right now
  contention about               what a result on this machine depends on

Without flags it shows "database is locked" as it happens, then compares five ways to write, in
about ten seconds. Say what your own program does, and it compares them at that:

  contention --processes 8 --task 50ms             eight processes, 50 ms of work behind each row
  contention --processes 3 --rows 2 --task 3s --strategies direct,queued
                                                   the original experiment, at its own pace
  contention --processes 1,4,16 --task 0 --for 2s --strategies all
                                                   which way is the fastest, and from how many on
  contention --task 0 --strategies direct -v       what each process does, and when
  contention --format json --output result.json    for a program, and to keep`

type config struct {
	settings  []lab.Setting
	repeat    int
	dir, keep string
	verbose   bool
	result    *cli.Result
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
	f.IntSliceVar(&v.processes, "processes", []int{4}, "how many write at once: `N`, or several with commas")
	f.IntVar(&v.rows, "rows", 10, "`N` rows of each process")
	f.DurationVar(&v.duration, "for", 0, "or as many rows as come in a `TIME`, such as 5s")
	f.DurationSliceVar(&v.tasks, "task", []time.Duration{20 * time.Millisecond},
		"the `TIME` that the work behind a row takes, or several; 0: none")
	f.StringSliceVar(&v.strategies, "strategies", []string{"direct", "consumers", "short", "queued", "confirmed"},
		"`NAMES` of ways to write, or all; --help-all tells them\n")
	f.DurationVar(&v.busy, "busy-timeout", 5*time.Second, "the `TIME` SQLite waits for a lock")
	f.IntVar(&c.repeat, "repeat", 1, "run each trial `N` times, report median and range")
	f.StringVar(&c.keep, "keep", "", "leave the databases in `DIR`, to look into")
	c.result = f.ResultFlags("text", "json", "markdown", "csv")
	f.IntVar(&v.perTransaction, "rows-per-transaction", 1, "`N` rows in each transaction, or message")
	f.StringVar(&v.sync, "sync", "full", "`MODE` full: a commit survives a power cut; normal: perhaps not")
	f.StringVar(&v.offered, "offered", "", "rows become ready at a `RATE`, such as 200/s of all together")
	f.DurationVar(&v.deadline, "deadline", 0, "give a trial up after `TIME` (default all its tasks, and a minute)")
	f.StringVar(&c.dir, "dir", "var", "`DIR` for the databases meanwhile, on the disk you mean")
	f.Advanced("rows-per-transaction", "sync", "offered", "deadline", "dir")
	f.Manual("Strategies:\n" + lab.Manual() + "\n" + lab.Formats)
	if done, err = f.Parse(args, env); done || err != nil {
		return c, done, err
	}
	if err := f.NoArgs(); err != nil {
		return c, false, err
	}
	c.verbose = f.Verbose()
	if f.Changed("for") && v.duration == 0 {
		return c, false, cli.Usagef("for example --for 5s", "--for is 0, want more")
	}
	if err := v.check(f.Changed("rows"), c.repeat); err != nil {
		return c, false, err
	}
	if c.settings, err = v.settings(slices.ContainsFunc([]string{"processes", "rows", "for", "task", "strategies"}, f.Changed)); err != nil {
		return c, false, err
	}
	return c, false, c.result.Check()
}

const maxProcesses = 256

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
	switch {
	case v.duration < 0:
		return cli.Usagef("for example --for 5s", "--for is %s, want more than 0", v.duration)
	case v.duration > 0 && rowsGiven:
		return cli.Usagef("--rows says how many, --for how long", "--rows and --for together")
	case v.rows < 1:
		return cli.Usagef("for example --rows 10", "--rows is %d, want 1 or more", v.rows)
	case v.perTransaction < 1:
		return cli.Usagef("for example --rows-per-transaction 1", "--rows-per-transaction is %d, want 1 or more", v.perTransaction)
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
		v.strategies = lab.Names()
	}
	for i, name := range v.strategies {
		if !lab.Known(name) {
			return cli.Usagef("one of "+strings.Join(lab.Names(), ", ")+", or all", "there is no strategy %q", name)
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
func (v *values) settings(own bool) ([]lab.Setting, error) {
	rate, err := v.rate()
	if err != nil {
		return nil, err
	}
	var all []lab.Setting
	if !own {
		all = v.original()
	}
	for _, task := range v.tasks {
		for _, processes := range v.processes {
			for _, strategy := range v.strategies {
				s := lab.Setting{
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

// original is the experiment this project began with, at a tenth of its times.
func (v *values) original() []lab.Setting {
	s := lab.Setting{
		Strategy: "direct", Processes: 3, Rows: 2, PerTransaction: 1, BusyTimeout: 500 * time.Millisecond,
		Sync: v.sync, Deadline: v.deadline, Original: true,
	}
	with := s
	with.Task = 300 * time.Millisecond
	return []lab.Setting{s, with}
}

func (v *values) rate() (float64, error) {
	if v.offered == "" {
		return 0, nil
	}
	r, err := strconv.ParseFloat(strings.TrimSuffix(v.offered, "/s"), 64)
	if err != nil || r <= 0 || r > 1e6 {
		return 0, cli.Usagef("for example --offered 200/s", "--offered is %q, want a rate of up to a million rows a second", v.offered)
	}
	return r, nil
}
