// Package child runs this program's own binary as child processes, for the lab
// and the scenes. It owns their life: start, pipes, standard error, pause,
// stop and kill. What parent and child say to each other is the caller's.
//
// No child outlives its parent. A child must end when its standard input ends
// (see [Orders]), which happens however the parent ended. On Linux the kernel
// also kills the child, because a child that is stopped cannot see the end of
// its input.
package child

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ErrOrphan is returned by the code of a child whose parent is gone.
var ErrOrphan = errors.New("child: the parent process has exited")

// Orders returns the lines of a child's standard input. The channel is closed
// when the input ends: then the parent is gone or has released the child, and
// the child must end.
func Orders(in *bufio.Reader) <-chan string {
	orders := make(chan string)
	go func() {
		defer close(orders)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			orders <- strings.TrimSpace(line)
		}
	}()
	return orders
}

// stopLimit is how long a process may keep its pipes open after it was killed
// by its context.
const stopLimit = 2 * time.Second

// Process is a child process as its parent sees it.
type Process struct {
	Stdin  io.Writer
	Stdout io.Reader // must be read to its end before Wait

	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *head
	wait   func() error
	close  func() error
}

// Start starts a command. What it writes to standard error goes to stderr,
// which may be nil; the first lines are kept for Failure. The process is killed
// when ctx ends.
//
// The process gets a process group of its own. A Ctrl-C at the terminal reaches
// the parent alone, and the parent decides what its children do.
func Start(ctx context.Context, command []string, stderr io.Writer) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), stderr: &head{next: stderr}}
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = attributes()
	p.cmd.WaitDelay = stopLimit
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.Stdin, p.stdin = stdin, stdin
	if p.Stdout, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	p.wait, p.close = sync.OnceValue(p.cmd.Wait), sync.OnceValue(p.stdin.Close)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Release closes the standard input of the process, which tells it to end.
func (p *Process) Release() error { return p.close() }

// Wait waits until the process has ended and returns how: nil for status 0. It
// may be called again. It must not be called while Stdout is being read.
func (p *Process) Wait() error { return p.wait() }

// WaitAtMost is Wait for a process that was released. It kills the process
// after the limit: a stopped process does not see that its input has ended.
func (p *Process) WaitAtMost(limit time.Duration) error {
	timer := time.AfterFunc(limit, func() { _ = p.Kill() }) // fails if the process has ended, as wanted
	defer timer.Stop()
	return p.Wait()
}

// Kill sends the signal that cannot be caught. The locks of the process are
// free when Wait returns.
func (p *Process) Kill() error { return p.cmd.Process.Kill() }

// Failure describes how a process ended that has been waited for: the first
// line of its standard error, or its exit status or signal.
func (p *Process) Failure() string {
	if line := p.stderr.firstLine(); line != "" {
		return line
	}
	return p.cmd.ProcessState.String()
}

// head keeps the beginning of what is written to it, and passes all of it on.
type head struct {
	next io.Writer // nil: nowhere

	mu   sync.Mutex // guards kept
	kept []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	h.kept = append(h.kept, b[:min(len(b), 4096-len(h.kept))]...)
	h.mu.Unlock()
	if h.next == nil {
		return len(b), nil
	}
	return h.next.Write(b)
}

func (h *head) firstLine() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.kept)), "\n")
	return line
}
