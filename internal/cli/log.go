package cli

// Logs: slog's text on stderr, shortened for a person to read.

import (
	"io"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"
)

// Logger logs to stderr: on a terminal for a person, elsewhere as key=value for
// a program, the level only where it is not INFO. With verbose, debug messages
// too.
func Logger(env Env, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if Terminal(env.Stderr) {
		return slog.New(tint.NewTextHandler(env.Stderr, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !Colour(env.Stderr), ReplaceAttr: rounded,
		}))
	}
	return slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: shorten}))
}

// shorten is what of a line a person can do without.
func shorten(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().Format("2006-01-02T15:04:05.000"))
	}
	return rounded(groups, a)
}

// rounded takes away INFO, and of times what is below a tenth of a millisecond.
func rounded(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) == 0 && a.Key == slog.LevelKey && a.Value.Any() == slog.LevelInfo:
		return slog.Attr{}
	case a.Value.Kind() == slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().Round(100*time.Microsecond).String())
	}
	return a
}

// Discard is a logger for those who want none.
func Discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
