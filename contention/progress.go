package main

// One line on the terminal that says how far the trials are.

import (
	"fmt"
	"sync"

	"turnstile/internal/cli"
	"turnstile/internal/lab"
)

type progress struct {
	env cli.Env
	on  bool

	mu    sync.Mutex // guards the line
	drawn bool
}

// newProgress draws nothing where no one looks, or where each process's log
// is the progress.
func newProgress(env cli.Env, verbose bool) *progress {
	return &progress{env: env, on: !verbose && cli.Terminal(env.Stderr)}
}

func (p *progress) look(l lab.Look) {
	if !p.on {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn = true
	of := ""
	if total := l.Setting.Processes * l.Setting.Rows; total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	fmt.Fprintf(p.env.Stderr, "\r\x1b[K%d/%d  %s  %d%s rows  %.1f s", l.Trial, l.Trials, l.Setting, l.Rows, of, l.Since.Seconds())
}

// done takes the line away.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
	}
}
