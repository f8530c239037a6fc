package scene

// The parent side of an actor: what a scene lets it do, and what SQLite must
// answer.

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"turnstile/internal/lab/report"
)

// wait is how long a statement waits before it fails.
type wait bool

const (
	atOnce       wait = false // not at all, whatever the busy timeout
	wholeTimeout wait = true  // until the busy timeout expires
)

type actor struct {
	stage   *stage
	name    string
	timeout time.Duration
	process *process
	running string // the statement that was started
}

// actor connects an actor to the act's database. It starts the actor's process
// unless the actor has one from an earlier act.
func (s *stage) actor(name string, busyTimeout time.Duration) *actor {
	a := &actor{stage: s, name: name, timeout: busyTimeout}
	if s.err != nil {
		return a
	}
	p := s.processes[name]
	if p == nil {
		var err error
		if p, err = s.startProcess(); err != nil {
			s.fail("actor %s: %w", name, err)
			return a
		}
		s.processes[name] = p
	}
	a.process = p
	if r, err := a.send(order{Open: s.path(), BusyTimeoutMS: busyTimeout.Milliseconds()}); err != nil || r.Code != 0 {
		s.fail("actor %s opens the database: %d %s: %w", name, r.Code, r.Message, err)
		return a
	}
	act := &s.acts[len(s.acts)-1]
	act.Actors = append(act.Actors, Actor{name, p.PID(), busyTimeout.Milliseconds()})
	return a
}

func (a *actor) send(o order) (reply, error) {
	if err := a.process.begin(o); err != nil {
		return reply{}, err
	}
	return a.process.end()
}

// does executes a statement, which must succeed.
func (a *actor) does(statement, note string) {
	a.execute(statement, sqlite3.SQLITE_OK, nil, note)
}

// reads executes a statement, which must return these rows.
func (a *actor) reads(statement, rows, note string) {
	a.execute(statement, sqlite3.SQLITE_OK, &rows, note)
}

// asks executes a statement, which must succeed, and returns its rows.
func (a *actor) asks(statement, note string) string {
	e := a.execute(statement, sqlite3.SQLITE_OK, nil, note)
	if e.Result == nil {
		return ""
	}
	return *e.Result
}

// unrecorded executes a statement, which must succeed, without a step.
func (a *actor) unrecorded(statement string) {
	if a.stage.err != nil {
		return
	}
	r, err := a.send(order{SQL: statement})
	if err != nil {
		a.stage.fail("%s: %s: %w", a.name, statement, err)
		return
	}
	a.check(statement, r, sqlite3.SQLITE_OK, nil)
}

// repeats executes a statement n times as one step and calls after each time.
func (a *actor) repeats(n int, statement, note string, after func()) {
	at := a.stage.now()
	for range n {
		a.unrecorded(statement)
		after()
	}
	if a.stage.err == nil {
		a.record(at, kindStatement, fmt.Sprintf("... %d times more", n), reply{WaitedMS: a.stage.now() - at}, note)
	}
}

// refused executes a statement, which must fail with this code after this wait.
// It returns how long the statement waited, in words.
func (a *actor) refused(statement string, code int, w wait, note string) string {
	e := a.execute(statement, code, nil, note)
	if a.stage.err != nil {
		return ""
	}
	waited := time.Duration(*e.WaitedMS * float64(time.Millisecond))
	whole := waited >= a.timeout*9/10
	switch {
	case w == atOnce && a.timeout > 0 && whole:
		a.stage.fail("%s: %s waited %s, expected it to fail at once", a.name, statement, waited)
	case w == wholeTimeout && !whole:
		a.stage.fail("%s: %s failed after %s, expected it to wait %s", a.name, statement, waited, a.timeout)
	}
	e.AtOnce = w == atOnce
	return waitText(*e.WaitedMS)
}

// execute executes a statement, which must end with this code and, unless rows
// is nil, these rows.
func (a *actor) execute(statement string, code int, rows *string, note string) *Step {
	if a.stage.err != nil {
		return &Step{}
	}
	at := a.stage.now()
	r, err := a.send(order{SQL: statement})
	if err != nil {
		a.stage.fail("%s: %s: %w", a.name, statement, err)
		return &Step{}
	}
	e := a.record(at, kindStatement, statement, r, note)
	a.check(statement, r, code, rows)
	return e
}

// starts begins a statement that waits for another actor. It ends at finishes.
func (a *actor) starts(statement, note string) {
	if a.stage.err != nil {
		return
	}
	at := a.stage.now()
	if err := a.process.begin(order{SQL: statement}); err != nil {
		a.stage.fail("%s: %s: %w", a.name, statement, err)
		return
	}
	a.running = statement
	a.stage.record(Step{AtMS: at, Actor: a.name, Kind: kindStarted, Text: statement, Note: note})
}

// finishes waits for the statement that was started, which must end with this
// code. It returns how long the statement took, in words.
func (a *actor) finishes(code int, note string) string {
	if a.stage.err != nil {
		return ""
	}
	r, err := a.process.end()
	if err != nil {
		a.stage.fail("%s: %s: %w", a.name, a.running, err)
		return ""
	}
	a.record(a.stage.now(), kindEnded, a.running, r, note)
	a.check(a.running, r, code, nil)
	return waitText(r.WaitedMS)
}

func (a *actor) record(at float64, kind, statement string, r reply, note string) *Step {
	e := Step{
		AtMS: at, Actor: a.name, Kind: kind, Text: statement, Note: note,
		Code: &r.Code, CodeName: new(report.CodeName(r.Code)), WaitedMS: &r.WaitedMS,
	}
	if r.Message != "" {
		e.Message = &r.Message
	}
	if r.Rows != "" {
		e.Result = &r.Rows
	}
	return a.stage.record(e)
}

func (a *actor) check(statement string, r reply, code int, rows *string) {
	switch {
	case r.Code != code:
		a.stage.fail("%s: %s returned %d %s, expected %d %s", a.name, statement, r.Code, report.CodeName(r.Code), code, report.CodeName(code))
	case rows != nil && r.Rows != *rows:
		a.stage.fail("%s: %s returned the rows %q, expected %q", a.name, statement, r.Rows, *rows)
	}
}

// kill is kill -KILL. The process's locks are free when it returns.
func (a *actor) kill(note string) {
	a.stage.shell("kill -KILL "+a.name, note, func() (string, error) {
		if err := a.process.Kill(); err != nil {
			return "", err
		}
		if _, ok := errors.AsType[*exec.ExitError](a.process.Wait()); !ok {
			return "", fmt.Errorf("process %d ended before it was killed", a.process.PID())
		}
		delete(a.stage.processes, a.name)
		return "", nil
	})
}

// stop is kill -STOP: the process keeps its locks and does nothing.
func (a *actor) stop(note string) {
	a.stage.shell("kill -STOP "+a.name, note, func() (string, error) { return "", a.process.Pause() })
}

// resume is kill -CONT.
func (a *actor) resume(note string) {
	a.stage.shell("kill -CONT "+a.name, note, func() (string, error) { return "", a.process.Continue() })
}

func waitText(ms float64) string {
	if ms < 1 {
		return "less than 1 ms"
	}
	return fmt.Sprintf("%.0f ms", ms)
}
