package scene

// A director's end of an actor's process.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// patience is how long an actor may take to end after its input is closed.
const patience = 2 * time.Second

type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	orders  *json.Encoder
	answers *json.Decoder
}

// startProcess starts an actor. It is killed when the context ends.
func startProcess(ctx context.Context, argv []string, stderr io.Writer) (*process, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = stderr
	cmd.SysProcAttr = apart()
	cmd.WaitDelay = patience
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd, stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)}, nil
}

// begin hands over a command and returns when the actor has begun with it.
func (p *process) begin(c command) error {
	if err := p.orders.Encode(c); err != nil {
		return fmt.Errorf("process %d: %w", p.cmd.Process.Pid, err)
	}
	a, err := p.end()
	if err == nil && !a.Began {
		err = fmt.Errorf("process %d answers out of turn", p.cmd.Process.Pid)
	}
	return err
}

// end waits for the answer to the command that was begun.
func (p *process) end() (a answer, err error) {
	if err := p.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("process %d ended before it answered: %w", p.cmd.Process.Pid, err)
	}
	return a, nil
}

// kill is kill -9. Its locks are gone when it returns.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	if _, ok := errors.AsType[*exec.ExitError](p.cmd.Wait()); !ok {
		return fmt.Errorf("process %d ended by itself before it was killed", p.cmd.Process.Pid)
	}
	return nil
}

// dismiss ends the actor's input, and so the actor.
func (p *process) dismiss() error { return p.stdin.Close() }

// wait sees the dismissed actor out, and kills it if it stays: it may be
// stopped.
func (p *process) wait() error {
	hurry := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() }) // fails if it has ended, as wanted
	defer hurry.Stop()
	return p.cmd.Wait()
}
