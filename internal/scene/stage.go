package scene

// The stage: the databases, the actors and the record of a scene. The first
// thing to go wrong is kept in err, and everything after it does nothing, so
// that a scene reads as a list of what happens.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// limit ends a scene that hangs. None takes a second.
const limit = 30 * time.Second

type stage struct {
	ctx       context.Context
	cancel    context.CancelFunc
	options   Options
	dir       string
	processes map[string]*process // by the actor's name; the living
	begun     time.Time
	clock     time.Time // when the act's first event happened
	acts      []Act
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
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not over after %s", limit))
	return &stage{
		ctx: ctx, cancel: cancel, options: o, dir: dir, begun: time.Now(),
		acts: []Act{}, processes: map[string]*process{},
	}, nil
}

// close ends the actors and removes the databases. How an actor ends matters
// only if all went well before: a scene that failed may have killed it.
func (s *stage) close() error {
	var errs []error
	for name, p := range s.processes {
		if err := p.dismiss(); err != nil && s.err == nil {
			errs = append(errs, fmt.Errorf("actor %s: %w", name, err))
		}
	}
	for name, p := range s.processes {
		if err := p.wait(); err != nil && s.err == nil {
			errs = append(errs, fmt.Errorf("actor %s: %w", name, err))
		}
	}
	s.cancel()
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
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

// path is the database of the act.
func (s *stage) path() string { return filepath.Join(s.dir, fmt.Sprintf("act%d.db", len(s.acts))) }

// act begins an act on a database made by these statements.
func (s *stage) act(title, journalMode string, setup ...string) {
	if s.err != nil {
		return
	}
	s.acts = append(s.acts, Act{Title: title, JournalMode: journalMode, Cast: []Role{}, Events: []Event{}})
	s.clock = time.Time{}
	// The director's own connection is closed before anybody else opens the
	// file: closing it later would not harm, but it would be one more actor.
	db, err := sql.Open("sqlite", dsn(s.path(), "journal_mode("+journalMode+")", "synchronous(normal)"))
	if err != nil {
		s.fail("set up: %w", err)
		return
	}
	for _, statement := range setup {
		if _, err := db.ExecContext(s.ctx, statement); err != nil {
			s.fail("set up: %s: %w", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		s.fail("set up: %w", err)
	}
}

// actor brings an actor on: its process, if it lives, else a new one, with a
// connection to the act's database that waits so long for a lock.
func (s *stage) actor(name string, busyTimeout time.Duration) *role {
	r := &role{stage: s, name: name, timeout: busyTimeout}
	if s.err != nil {
		return r
	}
	p := s.processes[name]
	if p == nil {
		var err error
		if p, err = startProcess(s.ctx, s.options.Actor, s.options.Stderr); err != nil {
			s.fail("actor %s: %w", name, err)
			return r
		}
		s.processes[name] = p
	}
	r.process = p
	if a, err := r.obey(command{Open: s.path(), BusyTimeoutMS: busyTimeout.Milliseconds()}); err != nil || a.Code != 0 {
		s.fail("actor %s opens the database: %d %s: %w", name, a.Code, a.Message, err)
		return r
	}
	act := &s.acts[len(s.acts)-1]
	act.Cast = append(act.Cast, Role{name, p.cmd.Process.Pid, busyTimeout.Milliseconds()})
	return r
}

// now is the time of the act in milliseconds.
func (s *stage) now() float64 {
	if s.clock.IsZero() {
		s.clock = time.Now()
	}
	return milliseconds(time.Since(s.clock))
}

// record adds to the act's events. The event may be changed until the next.
func (s *stage) record(e Event) *Event {
	act := &s.acts[len(s.acts)-1]
	act.Events = append(act.Events, e)
	return &act.Events[len(act.Events)-1]
}

// shell records something that is done, or seen, from outside of SQLite. What
// it does returns what was seen.
func (s *stage) shell(text, note string, do func() (seen string, err error)) {
	if s.err != nil {
		return
	}
	at := s.now()
	seen, err := do()
	if err != nil {
		s.fail("%s: %w", text, err)
		return
	}
	e := Event{AtMS: at, Actor: "shell", Kind: kindShell, Text: text, Note: note}
	if seen != "" {
		e.Result = &seen
	}
	s.record(e)
}

// explain ends the scene with why it went so, and what cures it.
func (s *stage) explain(why, cure string) {
	if s.err == nil {
		s.why, s.cure = why, cure
	}
}
