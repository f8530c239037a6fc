package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"turnstile/internal/child"
	"turnstile/internal/lab/report"
)

// job is what one child is told to do.
type job struct {
	report.Setting
	Process  int // 1, 2, ...; 0 is the single writer
	Database string
	Server   string // of the broker, if there is one
	Verbose  bool
	Live     bool // tell the parent of transactions that last
}

// implementation is what a strategy does with rows, in its process.
type implementation struct {
	// take waits for the process's next rows: none at the end. nil: the rows
	// are the process's own.
	take func() ([]row, error)
	// write writes rows in one transaction, and runs their tasks. When it
	// returns the transaction is committed or rolled back.
	write func(rows []row) error
	// close ends what start began; may be nil.
	close func() error
}

// starters prepare a process for its strategy, before the start barrier.
var starters = map[string]func(p *process) (implementation, error){
	"direct":     startDirect,
	"no-timeout": startDirect, // its busy timeout is 0
	"wal":        startWAL,
	"immediate":  startImmediate,
	"short":      startShort,
	"turns":      startTurns,
	"consumers":  startConsumers,
	"queued":     startQueued,
	"confirmed":  startConfirmed,
}

// RunChild is the child process of a trial. It reads its job from the first
// line of stdin, says "ready", waits for "go", and records what it does on
// stdout. It ends when it is done, when it is told to stop, when its time is
// up, and when stdin closes: then the parent is gone.
//
// Returning ends the process, whatever its goroutines wait for. A statement
// that waits for a lock is left to the operating system, and SQLite rolls its
// transaction back.
func RunChild(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	var j job
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("lab: child without a job: %w", err)
	}
	if err := json.Unmarshal(line, &j); err != nil {
		return fmt.Errorf("lab: read the job: %w", err)
	}
	p := &process{job: j, orders: child.Orders(in), rec: newRecorder(stdout, j.Verbose, j.Live)}
	if j.Process == 0 {
		err = p.runWriter(ctx)
	} else {
		err = p.runWorker(ctx)
	}
	if err != nil && !errors.Is(err, child.ErrOrphan) {
		return errors.Join(err, p.rec.writeLine("failure %s", strings.Join(strings.Fields(err.Error()), " ")))
	}
	return err
}

// process is a child process of a trial, as it sees itself.
type process struct {
	job    job
	orders <-chan string // lines of the parent; closed when it is gone
	rec    *recorder
	drain  func() error // carries out the order "drain"; nil: ignored
	taken  atomic.Int64 // of the process's own rows; read when time is up
}

func (p *process) runWorker(ctx context.Context) error {
	start, ok := starters[p.job.Strategy]
	if !ok {
		return fmt.Errorf("lab: strategy %s is not implemented", p.job.Strategy)
	}
	impl, err := start(p)
	if err != nil {
		return err
	}
	if err := p.barrier(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := p.writeRows(impl)
		if impl.close != nil {
			err = errors.Join(err, impl.close())
		}
		done <- err
	}()
	if err := p.waitForEnd(ctx, done, p.job.Limit()); err != nil {
		return err
	}
	return p.rec.finish(p.taken.Load())
}

// barrier waits for the moment at which all processes begin.
func (p *process) barrier() error {
	if err := p.rec.writeLine("ready"); err != nil {
		return err
	}
	order, ok := <-p.orders
	if !ok {
		return child.ErrOrphan
	}
	at, err := strconv.ParseInt(strings.TrimPrefix(order, "go "), 10, 64)
	if err != nil {
		return fmt.Errorf("lab: wait for go: got %q", order)
	}
	// The moment comes as wall-clock time, which processes share; from here on
	// the monotonic clock counts.
	now := time.Now()
	p.rec.zero = now.Add(time.Unix(0, at).Sub(now.Round(0)))
	time.Sleep(time.Until(p.rec.zero))
	return p.rec.writeLine("start %d", micros(p.rec.since()))
}

// waitForEnd waits for the end of the work, or for what ends it early.
func (p *process) waitForEnd(ctx context.Context, done <-chan error, limit time.Duration) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	timeout := time.After(limit - p.rec.since())
	drained := make(chan error, 1) // why the queue could not be drained
	for {
		select {
		case err := <-done:
			return err
		case <-timeout:
			return nil
		case order, ok := <-p.orders:
			if !ok {
				return child.ErrOrphan
			}
			switch {
			case order == "stop":
				return nil
			case order == "drain" && p.drain != nil:
				go func() {
					if err := p.drain(); err != nil {
						drained <- err
					}
				}()
			}
		case err := <-drained:
			return err
		case <-ctx.Done(): // SIGTERM for this process alone
			return ctx.Err()
		case <-flush.C:
			p.rec.flush()
		}
	}
}

// writeRows takes rows until there are no more, or time is up. The transaction
// that runs when time is up is brought to its end.
func (p *process) writeRows(impl implementation) error {
	take := impl.take
	if take == nil {
		take = p.takeOwn
	}
	ready := time.Duration(0)
	for n := 0; p.job.For == 0 || p.rec.since() < p.job.For; {
		rows, err := take()
		if err != nil || len(rows) == 0 {
			return err
		}
		switch {
		case impl.take != nil:
			ready = p.rec.since()
		case p.job.Offered > 0:
			ready = p.job.Due(p.job.Process, n)
		}
		p.rec.begin(n, len(rows), ready)
		code, err := resultCode(impl.write(rows))
		if err != nil {
			return fmt.Errorf("row %d: %w", n+1, err)
		}
		p.rec.end(code)
		ready = p.rec.since()
		n += len(rows)
	}
	return nil
}

// takeOwn makes the process's next rows, when they are due.
func (p *process) takeOwn() ([]row, error) {
	first, n := int(p.taken.Load()), p.job.PerTransaction
	if p.job.For == 0 {
		n = min(n, p.job.Rows-first)
	}
	if n == 0 {
		return nil, nil
	}
	if p.job.Offered > 0 {
		due := p.job.Due(p.job.Process, first+n-1)
		if p.job.For > 0 && due >= p.job.For {
			return nil, nil
		}
		time.Sleep(due - p.rec.since())
	}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = rowOf(p.job.Setting, p.job.Process, first+i)
	}
	p.taken.Add(int64(n))
	return rows, nil
}

// wants records that the process asks for the lock, or for the queue, now.
func (p *process) wants() { p.rec.wants() }

// hasLock records that the process has the lock.
func (p *process) hasLock() { p.rec.hasLock() }

// task stands for the work behind a row. It sleeps: only its time matters here,
// and a process that computed would also compete for the CPUs.
func (p *process) task() {
	if p.job.Task == 0 {
		return
	}
	began := time.Now()
	time.Sleep(p.job.Task)
	p.rec.worked(time.Since(began))
}

// resultCode tells SQLite's result codes, which are a result of the trial, from
// a failure of the process.
func resultCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code(), nil
	}
	return 0, err
}
