package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"turnstile/internal/cli"
	"turnstile/internal/lab/report"
	"turnstile/internal/web"
)

const reportHead = `Show a saved result again, in any format.

Usage:
  contention report FILE [flags]

FILE is a result that contention wrote as JSON, or a recording of contention
watch:

  contention --output result.json
  contention report result.json
  contention report result.json --format markdown
  contention report result.json --html report.html
             a page: who held the lock, and who waited
  contention report result.json --trace trace.json
             a time line to open in ui.perfetto.dev

  contention watch app.db --record night.json
  contention report night.json
             who held which lock, and the longest holds
  contention report night.json --at 03:12
             who, at 03:12? ("2026-11-25 03:12:07" works, too)`

const reportManual = `The formats are those of contention (contention --help-all). A recording has
text and json. --trace writes the Chrome trace format: a process for each trial
or recording, a thread for each of its processes.`

// showSaved is contention report.
func showSaved(_ context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("contention report", reportHead)
	result := f.ResultFlags("text", "json", "markdown", "csv")
	at := f.String("at", "", "show who held a lock at this `TIME` of a recording, such as 03:12")
	trace, html := traceFlag(f), addHTMLFlags(f, true)
	f.Manual(reportManual)
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		return cli.Usagef("contention report result.json", "want one FILE, got %d", f.NArg())
	}
	if err := result.Check(); err != nil {
		return err
	}
	period, err := parsePeriod(f.Changed("at"), *at)
	if err != nil {
		return err
	}
	saved, recording, err := readSaved(f.Arg(0))
	if err != nil {
		return err
	}
	if saved != nil && period != nil {
		return cli.Usagef("contention report "+f.Arg(0), "--at is for a recording of watch, and %s is a result", f.Arg(0))
	}
	if recording != nil {
		if result.Format != "text" && result.Format != "json" {
			return cli.Usagef("text or json", "--format %s is for results, and %s is a recording", result.Format, f.Arg(0))
		}
		err := result.Write(env, func(w io.Writer, colour bool) error {
			if result.Format == "json" {
				return report.WriteJSON(w, recording)
			}
			return recording.Text(w, paintFor(w, colour), period)
		})
		if err != nil {
			return err
		}
		return errors.Join(writeRecordings(env, *trace, []*report.Recording{recording}), html.write(env, func(w io.Writer) error {
			return web.WriteRecording(w, recording, cli.Invocation("contention")+" report "+f.Arg(0))
		}))
	}
	saved.AllFindings, saved.Command, saved.MoreFindings = f.Verbose(), checkCommand, moreFindings
	err = result.WriteEach(env, func(w io.Writer, format string, colour bool) error {
		return write(*saved, format, w, colour)
	})
	if err != nil {
		return err
	}
	return errors.Join(writeRecordings(env, *trace, saved.Recordings()), html.writeReport(env, *saved))
}

// parsePeriod returns nil if no time was asked for.
func parsePeriod(given bool, at string) (*report.Period, error) {
	if !given {
		return nil, nil
	}
	p, err := report.ParsePeriod(at)
	if err != nil {
		return nil, cli.Usagef(`for example --at 03:12, or --at "2026-11-25 03:12:07"`, "--at is %q, want a time", at)
	}
	return &p, nil
}

func readSaved(path string) (saved *report.Report, recording *report.Recording, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	saved, recording, err = report.Read(file)
	if _, ok := errors.AsType[*report.NotResultError](err); ok {
		return nil, nil, cli.WithHint(fmt.Errorf("%s: %w", path, err), "save a result with: contention --output result.json")
	}
	if e, ok := errors.AsType[*report.VersionError](err); ok && e.Got > e.Want {
		return nil, nil, cli.WithHint(fmt.Errorf("%s: %w", path, err), "it was made by a newer turnstile: use that one to show it")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return saved, recording, nil
}

func traceFlag(f *cli.Flags) *string {
	return f.String("trace", "", "also write a time line to `FILE`, to open in ui.perfetto.dev")
}

// openTrace is what to do with the file of --trace.
const openTrace = "open it in ui.perfetto.dev"

func writeRecordings(env cli.Env, path string, recordings []*report.Recording) error {
	return writeFile(env, path, openTrace, func(w io.Writer) error { return report.WriteTrace(w, recordings) })
}

// writeFile writes a file, if one is named, and says what to do with it.
func writeFile(env cli.Env, path, next string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return err
	}
	return say(env, "wrote "+path+": "+next)
}

// say writes a line about what was done beside the result.
func say(env cli.Env, text string) error { return cli.WriteText(env.Stderr, text+"\n") }
