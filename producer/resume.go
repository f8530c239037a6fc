package main

// Ending early: what is in flight is finished if it can be, and the user is
// told how to go on. To send all again is always right as well: what is there
// stays.

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
)

// A timeoutError is the end of our patience.
type timeoutError struct {
	after time.Duration
	what  string
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s for %s", e.what, e.after) }

func (e *timeoutError) Hint() string {
	return "do broker and consumer run? without --timeout the producer waits for them"
}

// ended makes the error the command ends with of the one that stopped it.
func (s *sender) ended(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if s.begun {
		s.finish(ctx)
	}
	if late, ok := errors.AsType[*timeoutError](context.Cause(ctx)); ok {
		err = late
	} else if ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	again := s.again()
	if again == "" {
		return err
	}
	return cli.WithHint(err, again)
}

// finish waits a little for what is in flight.
func (s *sender) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	if err := s.pub.Flush(ctx); err != nil {
		s.log.Debug("not all is done that was sent", "error", err)
	}
}

// again is the command that goes on where this one ended.
func (s *sender) again() string {
	if !s.begun || s.line == 0 && s.file == 0 {
		return "" // nothing is sent: it starts anew
	}
	if s.order == "time" || slices.Contains(s.files, "-") {
		return "send it again as a whole: what is there stays, nothing is doubled"
	}
	file, line := s.file, s.line
	for i := range s.result.Files[:s.file+1] {
		if first, ok := s.pub.First(s.result.Files[i].Source); ok {
			file, line = i, first
			break
		}
	}
	words := []string{"go on with: producer"}
	s.flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"from-line", "limit", "output", "verbose"}, f.Name) {
			words = append(words, "--"+f.Name, quoted(f.Value.String()))
		}
	})
	words = append(words, "--from-line", strconv.FormatUint(uint64(line), 10))
	if left := s.limit - s.rows(); s.limit > 0 && left > 0 {
		words = append(words, "--limit", strconv.FormatInt(left, 10))
	}
	for _, path := range s.files[file:] {
		if path != sample || len(s.files) > 1 {
			words = append(words, quoted(path))
		}
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%"
