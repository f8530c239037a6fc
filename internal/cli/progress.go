package cli

// Progress of long work: a bar with rate and time left on a terminal, a log
// line now and then elsewhere.

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A Progress shows how far long work has come. Its methods may be called from
// any goroutine, as often as one likes: it draws a few times a second.
type Progress struct {
	mu    sync.Mutex // guards all below
	bar   *progressbar.ProgressBar
	log   *slog.Logger
	total int64
	start time.Time
	next  time.Time
}

// everyLog is how often a log line says how far it is: the work that ends
// sooner says nothing.
const everyLog = 5 * time.Second

// NewProgress starts a progress of total bytes (-1: not known).
func NewProgress(env Env, log *slog.Logger, what string, total int64) *Progress {
	now := time.Now()
	p := &Progress{log: log.With("what", what), total: total, start: now, next: now.Add(everyLog)}
	if Terminal(env.Stderr) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(env.Stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// Set says how many bytes are done, and how many rows that is.
func (p *Progress) Set(bytes, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		if err := p.bar.Set64(bytes); err != nil {
			p.log.Debug("progress bar", "error", err)
		}
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(everyLog)
	done := "?"
	if p.total > 0 {
		done = fmt.Sprintf("%.0f%%", 100*float64(bytes)/float64(p.total))
	}
	p.log.Info("progress", "done", done, "rows", rows,
		"rows_per_second", int64(float64(rows)/now.Sub(p.start).Seconds()))
}

// Done takes the bar away, so that what is printed next stands alone.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	if err := p.bar.Finish(); err != nil {
		p.log.Debug("progress bar", "error", err)
	}
	p.bar = nil
}
