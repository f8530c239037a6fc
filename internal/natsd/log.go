package natsd

// What the server says, as slog has it.

import (
	"fmt"
	"log/slog"
)

// A logger is the server's logger. The server tells of a fatal error in no
// other way, and goes on as if the logger had ended the process: so it is
// caught here.
type logger struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal error
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log.With("from", "nats-server"), make(chan string, 1)}
}

// Fatalf keeps the first one: what follows from it is of no use to anyone.
func (l *logger) Fatalf(format string, a ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, a...):
	default:
	}
}

// Noticef is for -v: a start alone makes twenty of them.
func (l *logger) Noticef(format string, a ...any) { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Debugf(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Tracef(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Warnf(format string, a ...any)   { l.log.Warn(fmt.Sprintf(format, a...)) }
func (l *logger) Errorf(format string, a ...any)  { l.log.Error(fmt.Sprintf(format, a...)) }
