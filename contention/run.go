package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"turnstile/internal/about"
	"turnstile/internal/cli"
	"turnstile/internal/lab"
	"turnstile/internal/lab/report"
	"turnstile/internal/screen"
	"turnstile/internal/web"
)

// compare is contention without a subcommand: it runs trials and reports them.
func compare(ctx context.Context, args []string, env cli.Env) error {
	c, done, err := parse(args, env)
	if done || err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it again: %w", err)
	}
	place := c.dir
	if c.keep != "" {
		place = c.keep
	}
	info := about.Collect(ctx, place)
	line := newProgressLine(env, c.verbose)
	l := &lab.Lab{
		Binary: self, Dir: c.dir, Keep: c.keep, Verbose: c.verbose,
		Log: c.flags.Logger(env), Progress: line.draw,
	}
	g, err := startPage(ctx, c.page, web.NewConfigMessage("Who holds the lock", commandLine(args), info.Short()+".", titles(c.settings)), true, l.Log)
	if err != nil {
		return err
	}
	run := func() error {
		r := report.Report{
			CommandLine: commandLine(args), About: info, AboutLine: info.Short() + ".", Warning: info.FileSystem.Warning,
			AllFindings: c.verbose, Command: checkCommand, MoreFindings: moreFindings,
		}
		g.showLab(l, r)
		trials, err := l.Run(ctx, c.settings, c.repeat)
		line.remove()
		if len(trials) == 0 && err != nil && ctx.Err() == nil {
			return err // nothing has run, so there is no result
		}
		r.Trials, r.Interrupted = trials, ctx.Err() != nil
		werr := c.result.WriteEach(env, func(w io.Writer, format string, colour bool) error {
			if format == "text" && w != env.Stdout {
				if _, err := io.WriteString(w, fileHead(args, info)); err != nil {
					return err
				}
			}
			return write(r, format, w, colour)
		})
		werr = errors.Join(werr, writeRecordings(env, *c.trace, r.Recordings()), c.html.writeReport(env, r))
		if c.keep != "" && len(trials) > 0 {
			werr = errors.Join(werr, say(env, "the databases are in "+c.keep))
		}
		if werr != nil {
			return errors.Join(werr, err)
		}
		return outcome(r, err)
	}
	if g == nil {
		return run()
	}
	return g.runAll(ctx, env, run)
}

func titles(settings []report.Setting) (all []string) {
	for _, s := range settings {
		all = append(all, s.String())
	}
	return all
}

func commandLine(args []string) string {
	return strings.TrimSpace(cli.Invocation("contention") + " " + strings.Join(args, " "))
}

// fileHead begins a result that is kept or handed in: what was typed, when, and
// on which machine.
func fileHead(args []string, info about.Info) string {
	return fmt.Sprintf("command  %s\ntime     %s\nmachine  %s\n\n",
		commandLine(args), info.At.Format("2006-01-02 15:04:05 -07:00"), info.Short())
}

const moreFindings = "-v shows them, and so do the other formats"

func write(r report.Report, format string, w io.Writer, colour bool) error {
	switch format {
	case "json":
		return r.JSON(w)
	case "markdown":
		return r.Markdown(w)
	case "csv":
		return r.CSV(w)
	}
	return r.Text(w, paintFor(w, colour))
}

// paintFor returns how to write to w: as wide as the terminal, if it is one.
func paintFor(w io.Writer, colour bool) screen.Paint {
	p := screen.Paint{Colour: colour}
	if cli.IsTerminal(w) {
		p.Columns = cli.Width(w)
	}
	return p
}

// outcome returns the error that the command ends with. Lost rows are a result;
// unaccounted rows are a defect of the lab.
func outcome(r report.Report, err error) error {
	if r.Interrupted {
		return fmt.Errorf("%w after %d trials", cli.ErrInterrupted, len(r.Trials))
	}
	if err != nil {
		return err
	}
	for _, t := range r.Trials {
		if t.Unaccounted != 0 || t.Range["unaccounted"] != [2]float64{} {
			return fmt.Errorf("%d rows of %s are unaccounted for: do not trust this run", t.Unaccounted, t.Setting)
		}
	}
	return nil
}

// child is a process of a trial; not for people.
func child(ctx context.Context, _ []string, env cli.Env) error {
	return lab.RunChild(ctx, env.Stdin, env.Stdout)
}

// progressLine is one line on the terminal that says how far the trials are.
type progressLine struct {
	env cli.Env
	on  bool

	mu    sync.Mutex // guards the line
	drawn bool
}

// newProgressLine draws nothing where stderr is not a terminal, or where the
// log of each process shows the progress.
func newProgressLine(env cli.Env, verbose bool) *progressLine {
	return &progressLine{env: env, on: !verbose && cli.IsTerminal(env.Stderr)}
}

func (l *progressLine) draw(p lab.Progress) {
	if !l.on {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawn = true
	of := ""
	if total := p.Setting.Processes * p.Setting.Rows; total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	// A line that wraps cannot be erased, so it is cut.
	line := []rune(fmt.Sprintf("%d/%d  %d%s rows  %.1f s  %s", p.Trial, p.Trials, p.Rows, of, p.Since.Seconds(), p.Setting))
	fmt.Fprint(l.env.Stderr, "\r\x1b[K"+string(line[:min(len(line), cli.Width(l.env.Stderr)-1)]))
}

func (l *progressLine) remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drawn {
		fmt.Fprint(l.env.Stderr, "\r\x1b[K")
	}
}
