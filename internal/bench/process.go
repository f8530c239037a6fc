package main

// Processes: the commands as a user runs them, and what each of them took.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A usage is what a process has used in all its life.
type usage struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpu_seconds"` // user and system
	Peak *int64  `json:"peak_bytes"`  // most memory in RAM at once; null where the system does not say
}

// A command is what to run.
type command struct {
	name  string // for the report
	path  string
	args  []string
	env   []string // beside our own
	stdin string
}

// A process is a command under way.
type process struct {
	name     string
	cmd      *exec.Cmd
	out, err tail
	killed   bool
}

func start(ctx context.Context, c command) (*process, error) {
	p := &process{name: c.name, cmd: exec.CommandContext(ctx, c.path, c.args...)}
	p.out.most, p.err.most = 16<<20, 4<<10
	p.cmd.Stdin = strings.NewReader(c.stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.Env = append(os.Environ(), c.env...)
	p.cmd.Cancel = p.interrupt
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return p, nil
}

// interrupt asks a process to end. Where the system can't ask, it is killed.
func (p *process) interrupt() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	p.killed = true
	return p.cmd.Process.Kill()
}

// stop ends a process that would run for ever.
func (p *process) stop() (usage, error) {
	if err := p.interrupt(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return usage{}, fmt.Errorf("stop %s: %w", p.name, err)
	}
	return p.wait()
}

func (p *process) wait() (usage, error) {
	if err := p.cmd.Wait(); err != nil && !p.killed {
		return usage{}, fmt.Errorf("%s: %w\n%s", p.name, err, p.err.String())
	}
	state := p.cmd.ProcessState
	return usage{p.name, (state.UserTime() + state.SystemTime()).Seconds(), peak(state)}, nil
}

// run runs a command to its end and times it.
func run(ctx context.Context, c command) (seconds float64, u usage, out []byte, err error) {
	began := time.Now()
	p, err := start(ctx, c)
	if err != nil {
		return 0, u, nil, err
	}
	u, err = p.wait()
	return time.Since(began).Seconds(), u, p.out.Bytes(), err
}

// A tail keeps the last bytes that are written to it.
type tail struct {
	mu   sync.Mutex // guards buf
	buf  bytes.Buffer
	most int
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	t.buf.Next(max(0, t.buf.Len()-t.most))
	return len(b), nil
}

func (t *tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf.Bytes())
}

func (t *tail) String() string { return string(t.Bytes()) }
