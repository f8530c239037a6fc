package scene

// A stage runs a scene: it makes the databases, starts the actors, sends them
// statements and records the steps. It keeps the first error and does nothing
// after it, so that a scene reads as a list of what happens.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"turnstile/internal/child"
	"turnstile/internal/locks"
	"turnstile/internal/store"
)

const (
	sceneLimit = 2 * time.Minute  // ends a scene that hangs; none takes a second, but on a busy machine
	exitLimit  = 30 * time.Second // for a child to end after its input is closed, on such a machine
)

type stage struct {
	ctx       context.Context
	cancel    context.CancelFunc
	options   Options
	dir       string
	processes map[string]*process // the living ones, by actor's name
	begun     time.Time
	actStart  time.Time // the act's first step
	acts      []Act
	sampler   *locks.Sampler // of the act's database; nil before the first look, and where locks are not visible
	why, cure string
	err       error
}

func newStage(ctx context.Context, o Options) (*stage, error) {
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "scene-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sceneLimit, fmt.Errorf("not over after %s", sceneLimit))
	return &stage{
		ctx: ctx, cancel: cancel, options: o, dir: dir, begun: time.Now(),
		acts: []Act{}, processes: map[string]*process{},
	}, nil
}

// close ends the children and removes the databases. It reports how a child
// ended only if the scene succeeded: a scene that failed may have killed it.
func (s *stage) close() error {
	var errs []error
	if s.err != nil {
		s.cancel() // kills the children: one may be stopped, or wait for a lock
	}
	for name, p := range s.processes {
		if err := p.Release(); err != nil && s.err == nil {
			errs = append(errs, fmt.Errorf("actor %s: %w", name, err))
		}
	}
	for name, p := range s.processes {
		if err := p.WaitAtMost(exitLimit); err != nil && s.err == nil {
			errs = append(errs, fmt.Errorf("actor %s: %w", name, err))
		}
	}
	s.cancel()
	return errors.Join(append(errs, s.closeSampler(), os.RemoveAll(s.dir))...)
}

func (s *stage) seconds() float64 { return float64(time.Since(s.begun).Milliseconds()) / 1000 }

func (s *stage) fail(format string, a ...any) {
	if s.err != nil {
		return
	}
	s.err = fmt.Errorf(format, a...)
	if s.ctx.Err() != nil {
		s.err = fmt.Errorf("%w (%w)", context.Cause(s.ctx), s.err)
	}
}

// path is the database of the current act.
func (s *stage) path() string { return filepath.Join(s.dir, fmt.Sprintf("act%d.db", len(s.acts))) }

// act begins an act on a new database, made by these statements.
func (s *stage) act(title, journalMode string, setup ...string) {
	if s.err != nil {
		return
	}
	s.acts = append(s.acts, Act{Title: title, JournalMode: journalMode, Actors: []Actor{}, Steps: []Step{}})
	s.actStart = time.Time{}
	// Close this connection before an actor opens the file: the parent must not
	// hold or release a lock during the act.
	db, err := sql.Open("sqlite", store.DataSource(s.path(), "", 0, "journal_mode("+journalMode+")", "synchronous(normal)"))
	if err != nil {
		s.fail("set up: %w", err)
		return
	}
	for _, statement := range setup {
		if _, err := db.ExecContext(s.ctx, statement); err != nil {
			s.fail("set up: %s: %w", statement, err)
		}
	}
	if err := errors.Join(db.Close(), s.closeSampler()); err != nil {
		s.fail("set up: %w", err)
	}
}

func (s *stage) closeSampler() error {
	if s.sampler == nil {
		return nil
	}
	defer func() { s.sampler = nil }()
	return s.sampler.Close()
}

// heldLocks returns the locks that the actors hold now, or nil if the kernel does
// not show the holder of each.
func (s *stage) heldLocks(actors []Actor) []HeldLock {
	if s.err != nil {
		return nil
	}
	var all []locks.Lock
	var err error
	if s.sampler == nil {
		s.sampler, err = locks.NewSampler(s.path())
	}
	if err == nil {
		all, err = s.sampler.Sample(time.Now())
	}
	switch {
	case errors.Is(err, locks.ErrUnsupported):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist): // an act may begin without a database
		s.fail("locks: %w", err)
		return nil
	}
	held := []HeldLock{}
	for _, l := range all {
		i := slices.IndexFunc(actors, func(a Actor) bool { return a.PID == l.PID })
		if i < 0 {
			return nil
		}
		held = append(held, HeldLock{actors[i].Name, string(l.Name), l.Name.Blocks()})
	}
	return held
}

// now is the time since the act's first step, in milliseconds.
func (s *stage) now() float64 {
	if s.actStart.IsZero() {
		s.actStart = time.Now()
	}
	return milliseconds(time.Since(s.actStart))
}

// record adds a step. The caller may change the step until the next one is
// added.
func (s *stage) record(e Step) *Step {
	act := &s.acts[len(s.acts)-1]
	e.Locks = s.heldLocks(act.Actors)
	act.Steps = append(act.Steps, e)
	return &act.Steps[len(act.Steps)-1]
}

// shell records a step outside of SQLite. do returns what there was to see.
func (s *stage) shell(text, note string, do func() (output string, err error)) {
	if s.err != nil {
		return
	}
	at := s.now()
	output, err := do()
	if err != nil {
		s.fail("%s: %w", text, err)
		return
	}
	e := Step{AtMS: at, Actor: "shell", Kind: kindShell, Text: text, Note: note}
	if output != "" {
		e.Result = &output
	}
	s.record(e)
}

// explain ends a scene with the reason for what happened and its cure.
func (s *stage) explain(why, cure string) {
	if s.err == nil {
		s.why, s.cure = why, cure
	}
}

// process is a child and the protocol it speaks.
type process struct {
	*child.Process
	orders  *json.Encoder
	replies *json.Decoder
}

func (s *stage) startProcess() (*process, error) {
	p, err := child.Start(s.ctx, s.options.Command, s.options.Stderr)
	if err != nil {
		return nil, err
	}
	return &process{p, json.NewEncoder(p.Stdin), json.NewDecoder(p.Stdout)}, nil
}

// begin sends an order and returns when the child has begun to execute it.
func (p *process) begin(o order) error {
	if err := p.orders.Encode(o); err != nil {
		return fmt.Errorf("process %d: %w", p.PID(), err)
	}
	r, err := p.end()
	if err == nil && !r.Began {
		err = fmt.Errorf("process %d: reply out of order", p.PID())
	}
	return err
}

// end waits for the outcome of the order that was begun.
func (p *process) end() (r reply, err error) {
	if err := p.replies.Decode(&r); err != nil {
		return r, fmt.Errorf("process %d ended before it replied: %w", p.PID(), err)
	}
	return r, nil
}
