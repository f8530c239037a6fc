package scene

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite/lib"
)

// The stage: the databases, the actors and the record of a scene. The first
// thing to go wrong is kept in err, and everything after it does nothing, so
// that a scene reads as a list of what happens.

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

// What an actor of a scene can be told, and what SQLite must answer.

// How long a refused statement waits.
type wait bool

const (
	atOnce       wait = false // it does not wait, whatever its busy timeout
	wholeTimeout wait = true  // it waits its busy timeout out
)

type role struct {
	stage   *stage
	name    string
	timeout time.Duration
	process *process
	running string // the statement that was started
}

// inWords is a wait as a sentence says it.
func inWords(ms float64) string {
	if ms < 1 {
		return "less than 1 ms"
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func (r *role) obey(c command) (answer, error) {
	if err := r.process.begin(c); err != nil {
		return answer{}, err
	}
	return r.process.end()
}

// does executes a statement, which must succeed.
func (r *role) does(statement, note string) {
	r.must(statement, sqlite3.SQLITE_OK, "", false, note)
}

// reads executes a statement, which must succeed with these rows.
func (r *role) reads(statement, rows, note string) {
	r.must(statement, sqlite3.SQLITE_OK, rows, true, note)
}

// asks executes a statement, which must succeed, and returns its rows.
func (r *role) asks(statement, note string) string {
	e := r.must(statement, sqlite3.SQLITE_OK, "", false, note)
	if e.Result == nil {
		return ""
	}
	return *e.Result
}

// quietly executes a statement, which must succeed, and leaves it out of the
// story.
func (r *role) quietly(statement string) {
	if r.stage.err != nil {
		return
	}
	a, err := r.obey(command{SQL: statement})
	if err != nil {
		r.stage.fail("%s: %s: %w", r.name, statement, err)
		return
	}
	r.judge(statement, a, sqlite3.SQLITE_OK, "", false)
}

// repeats executes a statement n times, as one event, and does the other thing
// after each.
func (r *role) repeats(n int, statement, note string, after func()) {
	at := r.stage.now()
	for range n {
		r.quietly(statement)
		after()
	}
	if r.stage.err == nil {
		r.event(at, kindStatement, fmt.Sprintf("... %d times more", n), answer{WaitedMS: r.stage.now() - at}, note)
	}
}

// refused executes a statement, which must fail with this code, at once or
// after the whole busy timeout. It returns how long it waited.
func (r *role) refused(statement string, code int, w wait, note string) string {
	e := r.must(statement, code, "", false, note)
	if r.stage.err != nil {
		return ""
	}
	waited := time.Duration(*e.WaitedMS * float64(time.Millisecond))
	switch {
	case w == atOnce && r.timeout > 0 && waited > r.timeout/2:
		r.stage.fail("%s: %s was to be refused at once, and waited %s", r.name, statement, waited)
	case w == wholeTimeout && waited < r.timeout*9/10:
		r.stage.fail("%s: %s was to wait %s, and was refused after %s", r.name, statement, r.timeout, waited)
	}
	e.AtOnce = w == atOnce
	return inWords(*e.WaitedMS)
}

// must executes a statement that must end with this code and, if they are
// checked, these rows.
func (r *role) must(statement string, code int, rows string, check bool, note string) *Event {
	if r.stage.err != nil {
		return &Event{}
	}
	at := r.stage.now()
	a, err := r.obey(command{SQL: statement})
	if err != nil {
		r.stage.fail("%s: %s: %w", r.name, statement, err)
		return &Event{}
	}
	e := r.event(at, kindStatement, statement, a, note)
	r.judge(statement, a, code, rows, check)
	return e
}

// starts begins with a statement that is to wait for another actor. It ends
// when the role is told finishes.
func (r *role) starts(statement, note string) {
	if r.stage.err != nil {
		return
	}
	at := r.stage.now()
	if err := r.process.begin(command{SQL: statement}); err != nil {
		r.stage.fail("%s: %s: %w", r.name, statement, err)
		return
	}
	r.running = statement
	r.stage.record(Event{AtMS: at, Actor: r.name, Kind: kindStarted, Text: statement, Note: note})
}

// finishes waits for the statement that was started, which must end with this
// code, and returns how long that took.
func (r *role) finishes(code int, note string) string {
	if r.stage.err != nil {
		return ""
	}
	a, err := r.process.end()
	if err != nil {
		r.stage.fail("%s: %s: %w", r.name, r.running, err)
		return ""
	}
	r.event(r.stage.now(), kindEnded, r.running, a, note)
	r.judge(r.running, a, code, "", false)
	return inWords(a.WaitedMS)
}

func (r *role) event(at float64, kind, statement string, a answer, note string) *Event {
	e := Event{AtMS: at, Actor: r.name, Kind: kind, Text: statement, Note: note, Code: &a.Code, CodeName: new(codeName(a.Code)), WaitedMS: &a.WaitedMS}
	if a.Message != "" {
		e.Message = &a.Message
	}
	if a.Rows != "" {
		e.Result = &a.Rows
	}
	return r.stage.record(e)
}

func (r *role) judge(statement string, a answer, code int, rows string, check bool) {
	switch {
	case a.Code != code:
		r.stage.fail("%s: %s came back with %d %s, not with %d %s as it must", r.name, statement, a.Code, codeName(a.Code), code, codeName(code))
	case check && a.Rows != rows:
		r.stage.fail("%s: %s read %q, not %q as it must", r.name, statement, a.Rows, rows)
	}
}

// kill is kill -9.
func (r *role) kill(note string) {
	r.stage.shell("kill -KILL "+r.name, note, func() (string, error) {
		if err := r.process.kill(); err != nil {
			return "", err
		}
		delete(r.stage.processes, r.name)
		return "", nil
	})
}

// stop is kill -STOP: the process lives, and does nothing.
func (r *role) stop(note string) {
	r.stage.shell("kill -STOP "+r.name, note, func() (string, error) { return "", r.process.stop() })
}

// resume is kill -CONT.
func (r *role) resume(note string) {
	r.stage.shell("kill -CONT "+r.name, note, func() (string, error) { return "", r.process.resume() })
}
