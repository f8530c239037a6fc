package scene

// What an actor of a scene can be told, and what SQLite must answer.

import (
	"fmt"
	"time"

	"modernc.org/sqlite/lib"
)

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
