package lab

// A process of a trial at work: it takes rows and hands them to its strategy,
// one transaction after another.

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

type process struct {
	spec  Spec
	rec   *recorder
	taken atomic.Int64 // of the process's own rows; the end of time reads it
}

func (p *process) wants()   { p.rec.wants() }
func (p *process) hasLock() { p.rec.hasLock() }

// task stands for the work behind a row. It sleeps: what matters here is how
// long it takes, and a process that computed would also fight for the CPUs.
func (p *process) task() {
	if p.spec.Task == 0 {
		return
	}
	began := time.Now()
	time.Sleep(p.spec.Task)
	p.rec.worked(time.Since(began))
}

// work takes rows until there are no more, or time is up. The rows in hand
// when time is up are brought to their end.
func (p *process) work(w worker) error {
	take := w.take
	if take == nil {
		take = p.own
	}
	ready := time.Duration(0)
	for n := 0; p.spec.For == 0 || p.rec.since() < p.spec.For; {
		rows, err := take()
		if err != nil || len(rows) == 0 {
			return err
		}
		switch {
		case w.take != nil:
			ready = p.rec.since()
		case p.spec.Offered > 0:
			ready = p.spec.due(p.spec.Process, n)
		}
		p.rec.begin(n, len(rows), ready)
		code, err := codeOf(w.write(rows))
		if err != nil {
			return fmt.Errorf("row %d: %w", n+1, err)
		}
		p.rec.end(code)
		ready = p.rec.since()
		n += len(rows)
	}
	return nil
}

// own makes the process's next rows, when they are due.
func (p *process) own() ([]row, error) {
	first, n := int(p.taken.Load()), p.spec.PerTransaction
	if p.spec.For == 0 {
		n = min(n, p.spec.Rows-first)
	}
	if n == 0 {
		return nil, nil
	}
	if p.spec.Offered > 0 {
		due := p.spec.due(p.spec.Process, first+n-1)
		if p.spec.For > 0 && due >= p.spec.For {
			return nil, nil
		}
		time.Sleep(due - p.rec.since())
	}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = p.spec.row(p.spec.Process, first+i)
	}
	p.taken.Add(int64(n))
	return rows, nil
}

// codeOf tells what SQLite said, which is a result, from what is a failure of
// the process.
func codeOf(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code(), nil
	}
	return 0, err
}
