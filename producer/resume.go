package main

// Ending early: the producer waits briefly for what is in flight, then prints
// the command that continues. Sending everything again is also correct, because
// stored rows are recognized.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

// drainTimeout is how long messages in flight may take to be done after Ctrl-C.
const drainTimeout = time.Second

// A timeoutError says that --timeout has expired.
type timeoutError struct {
	after time.Duration
	what  string
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s for %s", e.what, e.after) }

// finish drains what is in flight and turns err into the command's error, with
// a resume hint.
func (s *sender) finish(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if s.started {
		s.drain(ctx)
	}
	if late, ok := errors.AsType[*timeoutError](context.Cause(ctx)); ok {
		err = late
	} else if ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	hint := s.resumeHint()
	if hint == "" {
		return err
	}
	return cli.WithHint(err, hint)
}

// drain waits up to drainTimeout for what is in flight.
func (s *sender) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.pub.Flush(ctx); err != nil {
		s.log.Debug("some messages are not done", "error", err)
	}
}

// resumeHint returns the command that continues where this one ended, or "" if
// nothing was sent.
func (s *sender) resumeHint() string {
	if !s.started || s.line == 0 && s.file == 0 {
		return ""
	}
	if slices.ContainsFunc(s.files, mta.IsStream) {
		return "send the whole file again: no row is stored twice"
	}
	file, line := s.firstNotDone()
	words := []string{"resume with: producer"} // cli.Typeable adds --server
	s.flags.Visit(func(f *pflag.Flag) {
		switch value := cli.ShellQuote(f.Value.String()); {
		case slices.Contains([]string{"from-line", "limit", "output", "server", "verbose"}, f.Name):
		case value == f.NoOptDefVal: // a boolean flag takes no next word
			words = append(words, "--"+f.Name)
		case f.NoOptDefVal != "":
			words = append(words, "--"+f.Name+"="+value)
		default:
			words = append(words, "--"+f.Name, value)
		}
	})
	words = append(words, "--from-line", strconv.FormatInt(line, 10))
	if left := s.limit - s.doneRows(); s.limit > 0 && left > 0 {
		words = append(words, "--limit", strconv.FormatInt(left, 10))
	}
	for _, path := range s.files[file:] {
		if path != sample || len(s.files) > 1 {
			words = append(words, cli.ShellQuote(path))
		}
	}
	return strings.Join(words, " ")
}

// firstNotDone returns the first file and line that are not done.
func (s *sender) firstNotDone() (file int, line int64) {
	for i := range s.result.Files[:s.file+1] {
		if first, ok := s.pub.First(s.result.Files[i].Source); ok {
			return i, first
		}
	}
	return s.file, s.line
}
