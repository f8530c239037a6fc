package main

// What the producer says of its rows at a limited pace: on a terminal a line for each
// message, elsewhere one a second, because nobody reads three lines a row in the log of
// a container. -v logs each there, too.

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// rowLogEvery is the least time between two lines off a terminal.
const rowLogEvery = time.Second

// A rowLog logs messages that are done. It is safe for concurrent use.
type rowLog struct {
	log      *slog.Logger
	terminal bool
	width    func() int // of the terminal, in columns

	mu       sync.Mutex // guards all below
	messages int        // that are not logged yet
	rows     int
	outcome  mta.Outcome
	last     stream.Receipt
	logged   time.Time   // the last line
	timer    *time.Timer // runs while something is not logged
}

func newRowLog(env cli.Env, log *slog.Logger) *rowLog {
	return &rowLog{log: log, terminal: cli.IsTerminal(env.Stderr), width: func() int { return cli.Width(env.Stderr) }}
}

func (l *rowLog) add(r stream.Receipt) {
	what, level := describeOutcome(r.Outcome)
	if l.terminal {
		l.log.Log(context.Background(), level, l.line(what, r))
		return
	}
	l.log.Debug(what, rowFacts(r)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages++
	l.rows += r.Chunk.Records
	l.outcome = l.outcome.Add(r.Outcome)
	l.last = r
	if wait := rowLogEvery - time.Since(l.logged); wait <= 0 {
		l.write()
	} else if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.flush)
	}
}

// flush logs what is not logged yet.
func (l *rowLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write()
}

// write logs what is not logged yet. The caller has locked l.
func (l *rowLog) write() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.messages == 0 {
		return
	}
	what, level := describeOutcome(l.outcome)
	facts := rowFacts(l.last)
	if l.messages > 1 {
		facts = []any{"rows", l.rows, "messages", l.messages, "to_line", l.last.Chunk.Line}
		if o := l.outcome; o.AlreadyThere+o.Rejected > 0 {
			facts = append(facts, "stored", o.Stored, "already_there", o.AlreadyThere, "rejected", o.Rejected)
		}
	}
	l.log.Log(context.Background(), level, what, facts...)
	l.messages, l.rows, l.outcome, l.logged = 0, 0, mta.Outcome{}, time.Now()
}

func describeOutcome(o mta.Outcome) (what string, level slog.Level) {
	switch {
	case o.Rejected > 0:
		return "rejected", slog.LevelWarn
	case o.Stored > 0:
		return "stored", slog.LevelInfo
	case o.AlreadyThere > 0:
		return "already there", slog.LevelInfo
	}
	return "queued", slog.LevelInfo
}

func rowFacts(r stream.Receipt) []any {
	facts := []any{"line", r.Chunk.Line, "took", r.Took}
	if r.Chunk.Records == 1 {
		return append(facts, "row", rowText(r.Chunk))
	}
	return append(facts, "rows", r.Chunk.Records)
}

func rowText(c mta.Chunk) string { return strings.TrimRight(string(c.Data), "\r\n") }

// logPrefix is the width of what the logger writes before a message on a terminal:
// "15:04:05.000 INF ".
const logPrefix = 17

// line returns a message as one line of the terminal.
func (l *rowLog) line(what string, r stream.Receipt) string {
	text := fmt.Sprintf("%s line %d in %s  ", what, r.Chunk.Line, r.Took.Round(100*time.Microsecond))
	if r.Chunk.Records == 1 {
		text += rowText(r.Chunk)
	} else {
		text += plural(int64(r.Chunk.Records), "row")
	}
	return clip(text, l.width()-logPrefix)
}

// clip returns text as at most n characters, which can't control the terminal.
func clip(text string, n int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text))
	if len(runes) > max(n, 20) {
		runes = append(runes[:max(n, 20)-1], '…')
	}
	return string(runes)
}
