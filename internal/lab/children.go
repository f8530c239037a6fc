package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"turnstile/internal/child"
	"turnstile/internal/lab/report"
)

const (
	startLimit    = 30 * time.Second      // for a child to say it is ready; for an answer of the shared queue, too
	startDelay    = 25 * time.Millisecond // from "go" to the start barrier, so that all have read it
	stopLimit     = 2 * time.Second       // for a child to end once told to, or once its time is over
	drainLimit    = 15 * time.Second      // for the writer to store what is queued
	progressEvery = 100 * time.Millisecond
)

// children are the processes of one trial: started together, released at one
// moment, and gone when the trial is over, however it went.
type children struct {
	workers []*worker
	writer  *worker // nil without a single writer

	live      bool          // keep recent events for [Lab.Live]
	liveDue   time.Duration // since the start barrier, when they are due next
	liveCount atomic.Int64  // recent events so far, of all processes
}

func (c *children) all() []*worker {
	if c.writer == nil {
		return c.workers
	}
	return append([]*worker{c.writer}, c.workers...)
}

func (c *children) start(binary, dir string, j job, log *slog.Logger) error {
	var recent *recentEvents
	if c.live {
		recent = &recentEvents{count: &c.liveCount}
	}
	w, err := startWorker(binary, dir, j, recent, log)
	if w == nil {
		return err
	}
	if j.Process == 0 {
		c.writer = w
	} else {
		c.workers = append(c.workers, w)
	}
	return err
}

// waitServer waits for the URL of the writer's broker.
func (c *children) waitServer(ctx context.Context) (string, error) {
	select {
	case url := <-c.writer.server:
		return url, nil
	case <-c.writer.done:
		return "", fmt.Errorf("lab: %s died before the start: %s", c.writer.trace.Process, c.writer.trace.Died)
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(startLimit):
		return "", fmt.Errorf("lab: %s was not ready after %s", c.writer.trace.Process, startLimit)
	}
}

// waitReady waits until every child is ready.
func (c *children) waitReady(ctx context.Context) error {
	limit := time.After(startLimit)
	for _, w := range c.all() {
		select {
		case <-w.ready:
		case <-w.done:
			return fmt.Errorf("lab: %s died before the start: %s", w.trace.Process, w.trace.Died)
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("lab: %s was not ready after %s", w.trace.Process, startLimit)
		}
	}
	return nil
}

// release lets all children go at one moment, and returns it.
func (c *children) release() time.Time {
	zero := time.Now().Add(startDelay)
	for _, w := range c.all() {
		w.order(fmt.Sprintf("go %d", zero.UnixNano()))
	}
	return zero
}

// traces returns what the children recorded. All must be gone.
func (c *children) traces() (workers []report.Trace, writer *report.Trace) {
	for _, w := range c.workers {
		workers = append(workers, w.finishedTrace())
	}
	if c.writer != nil {
		t := c.writer.finishedTrace()
		writer = &t
	}
	return workers, writer
}

// spoolErrors returns what went wrong while the events were read.
func (c *children) spoolErrors() error {
	var errs error
	for _, w := range c.all() {
		errs = errors.Join(errs, w.spool.err)
	}
	return errs
}

// wait waits for workers to end, until the context ends or the limit is over.
// Then it tells those that are late to stop, and kills those that do not.
func (c *children) wait(ctx context.Context, workers []*worker, limit time.Time, progress func()) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	timeout := time.After(time.Until(limit))
	for _, w := range workers {
		for ended := false; !ended; {
			select {
			case <-w.done:
				ended = true
			case <-tick.C:
				progress()
			case <-ctx.Done():
				stopWorkers(workers)
				return
			case <-timeout:
				stopWorkers(workers)
				return
			}
		}
	}
}

// drain tells the writer to store what is queued and to end, and waits for it.
func (c *children) drain(ctx context.Context, limit time.Time, progress func()) {
	if c.writer == nil {
		return
	}
	c.writer.order("drain")
	patience := drainLimit
	if ctx.Err() != nil {
		patience = stopLimit // someone pressed Ctrl-C and waits
	}
	if l := time.Now().Add(patience); l.After(limit) || ctx.Err() != nil {
		limit = l
	}
	c.wait(context.WithoutCancel(ctx), []*worker{c.writer}, limit, progress)
}

// end ends all children that are left, and waits for them.
func (c *children) end() error {
	for _, w := range c.all() {
		_ = w.process.Release() // closed already if the process has ended
	}
	stopWorkers(c.all())
	var errs error
	for _, w := range c.all() {
		<-w.done
		errs = errors.Join(errs, w.problems)
	}
	return errs
}

// stopWorkers asks workers to write what they have recorded and to end, and
// kills those that do not.
func stopWorkers(workers []*worker) {
	for _, w := range workers {
		if !w.gone() {
			w.order("stop")
		}
	}
	limit := time.After(stopLimit)
	for _, w := range workers {
		select {
		case <-w.done:
			continue
		case <-limit:
			limit = time.After(0) // for those after this one too
		}
		if !w.gone() && w.process.Kill() == nil {
			<-w.done
		}
	}
}

// worker is a child process as its parent sees it.
type worker struct {
	process *child.Process
	log     *slog.Logger // nil unless verbose
	queue   report.Queue // what it waits for, to log it

	server   chan string   // the URL of its broker, if it is the writer
	ready    chan struct{} // closed when it is
	done     chan struct{} // closed when the process is gone and trace is complete
	rows     atomic.Int64  // ended so far
	isReady  bool
	failure  string        // what it said went wrong
	trace    report.Trace  // belongs to read until done is closed
	spool    *spool        // so does this
	recent   *recentEvents // nil: not asked for
	problems error         // lines that could not be read or kept
}

func startWorker(binary, dir string, j job, recent *recentEvents, log *slog.Logger) (*worker, error) {
	w := &worker{
		recent: recent,
		log:    log, queue: report.Find(j.Strategy).Queue, server: make(chan string, 1),
		ready: make(chan struct{}), done: make(chan struct{}),
		trace: report.Trace{Process: fmt.Sprintf("P%d", j.Process), Number: j.Process},
	}
	if j.Process == 0 {
		w.trace.Process = report.WriterName
		w.queue = report.NoQueue // it writes
	}
	var err error
	if w.spool, err = createSpool(dir, w.trace.Process); err != nil {
		return nil, err
	}
	// Ctrl-C must not kill a child: it hands in its trace first.
	if w.process, err = child.Start(context.Background(), []string{binary, "child"}, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: start %s: %w", w.trace.Process, err), w.spool.finish())
	}
	w.trace.PID = w.process.PID()
	go w.read()
	line, err := json.Marshal(j)
	if err != nil {
		return w, err
	}
	_, err = fmt.Fprintf(w.process.Stdin, "%s\n", line)
	return w, err
}

// order sends an order. A child that is gone already is no error here: its
// trace says so.
func (w *worker) order(order string) {
	if _, err := io.WriteString(w.process.Stdin, order+"\n"); err != nil && w.log != nil {
		w.log.Debug("order not delivered", "process", w.trace.Process, "order", order, "error", err)
	}
}

func (w *worker) gone() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *worker) finishedTrace() report.Trace {
	t := w.trace
	t.Events = w.spool.events()
	return t
}

// read reads what the child writes, to its end.
func (w *worker) read() {
	defer close(w.done)
	lines := bufio.NewScanner(w.process.Stdout)
	for lines.Scan() {
		if err := w.readLine(lines.Bytes()); err != nil {
			w.problems = errors.Join(w.problems, err)
		}
	}
	w.problems = errors.Join(w.problems, lines.Err(), w.spool.finish())
	if err := w.process.Wait(); err != nil || !w.trace.Ended {
		w.trace.Died = w.process.Failure()
		if w.failure != "" {
			w.trace.Died = w.failure
		}
	}
}

func (w *worker) readLine(line []byte) (err error) {
	if bytes.HasPrefix(line, []byte("event ")) { // there are many: no string of it
		e, err := parseEvent(line)
		if err != nil {
			return err
		}
		w.rows.Add(int64(e.Rows))
		w.recent.add(e)
		return w.spool.add(line)
	}
	kind, rest, _ := strings.Cut(string(line), " ")
	switch kind {
	case "step":
		return w.logStep(rest)
	case "open":
		return w.recent.setOpen(rest)
	case "server":
		w.server <- rest
	case "ready":
		if !w.isReady {
			w.isReady = true
			close(w.ready)
		}
	case "start":
		var at int64
		_, err = fmt.Sscan(rest, &at)
		w.trace.Start = fromMicros(at)
		w.say("started", "pid", w.trace.PID, "late", w.trace.Start)
	case "end":
		var at int64
		_, err = fmt.Sscan(rest, &w.trace.Taken, &at)
		w.trace.Ended, w.trace.EndAt = true, fromMicros(at)
	case "failure":
		w.failure = rest
	default:
		return fmt.Errorf("lab: unknown line of %s: %q", w.trace.Process, line)
	}
	return err
}

// logStep logs a step of the child, for -v.
func (w *worker) logStep(rest string) error {
	var at int64
	var step string
	var first, code int
	if _, err := fmt.Sscan(rest, &at, &step, &first, &code); err != nil {
		return fmt.Errorf("lab: unknown step of %s: %q: %w", w.trace.Process, rest, err)
	}
	args := []any{"row", first + 1, "at", fromMicros(at)}
	if w.trace.Number == 0 {
		args = args[2:] // the writer stores rows of all
	}
	waits, done := "waiting for the lock", "committed"
	switch w.queue {
	case report.ToQueue:
		waits, done = "publishing", "queued"
	case report.Request:
		waits, done = "asking the writer", "confirmed"
	}
	switch step {
	case stepWants:
		w.say(waits, args...)
	case stepBegun:
		w.say("has the lock", args...)
	case stepDone:
		w.say(done, args...)
	case stepFailed:
		w.say("failed", append(args, "error", report.CodeText(code))...)
	}
	return nil
}

func (w *worker) say(message string, args ...any) {
	if w.log != nil {
		w.log.Info(message, append([]any{"process", w.trace.Process}, args...)...)
	}
}
