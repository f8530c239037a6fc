package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"turnstile/internal/lab/report"
)

// flushEvery bounds what is lost with a process that is killed.
const flushEvery = 50 * time.Millisecond

// Steps of a transaction, as they are reported for -v.
const (
	stepWants  = "wants"
	stepBegun  = "begun"
	stepDone   = "done"
	stepFailed = "failed"
)

// recorder writes the events of a process as lines to its standard output. It
// holds the event of the current transaction, and buffers the lines.
type recorder struct {
	verbose bool
	live    bool      // write the open event, too
	zero    time.Time // the start barrier

	mu      sync.Mutex // guards all below
	out     *bufio.Writer
	open    bool // a transaction has begun and not ended
	current report.Event
	written report.Event // the open event that was written last
	closed  bool         // finish was called: nothing is written after it
	err     error
	line    []byte // kept for its memory
}

func newRecorder(out io.Writer, verbose, live bool) *recorder {
	return &recorder{out: bufio.NewWriterSize(out, 32<<10), verbose: verbose, live: live}
}

func (r *recorder) since() time.Duration { return time.Since(r.zero) }

// begin begins the event of a transaction.
func (r *recorder) begin(first, rows int, ready time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
	r.current = report.Event{First: first, Rows: rows, Ready: ready, Wants: -1, Begun: -1, Released: -1}
}

func (r *recorder) wants() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Wants = r.since()
	r.writeStep(stepWants, r.current.Wants)
}

func (r *recorder) hasLock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Begun < 0 { // the first row of the transaction took it
		r.current.Begun = r.since()
		r.writeStep(stepBegun, r.current.Begun)
	}
}

// released records that COMMIT or ROLLBACK has returned. It may be called
// without a lock.
func (r *recorder) released() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Begun >= 0 {
		r.current.Released = r.since()
	}
}

func (r *recorder) worked(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Task += d
}

// end writes the event of the current transaction.
func (r *recorder) end(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = false
	r.current.End, r.current.Code = r.since(), code
	step := stepDone
	if code != 0 {
		step = stepFailed
	}
	r.writeStep(step, r.current.End)
	r.writeEvent(r.current)
}

// finish writes the event of an unfinished transaction, and the last line,
// which distinguishes an end from a death. Nothing is written after it.
func (r *recorder) finish(taken int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	if r.open {
		r.current.End, r.current.Unfinished = r.since(), true
		r.writeEvent(r.current)
	}
	_, err := fmt.Fprintf(r.out, "end %d %d\n", taken, micros(r.since()))
	r.err = errors.Join(r.err, err, r.out.Flush())
	r.closed = true
	return r.err
}

func (r *recorder) writeEvent(e report.Event) {
	if r.closed {
		return
	}
	r.line = appendEvent(r.line[:0], e)
	if _, err := r.out.Write(r.line); err != nil {
		r.err = err // the parent is gone, and its closed pipe ends this process
	}
}

// writeStep reports a step as it happens, for -v.
func (r *recorder) writeStep(step string, at time.Duration) {
	if !r.verbose || r.closed {
		return
	}
	_, err := fmt.Fprintf(r.out, "step %d %s %d %d\n", micros(at), step, r.current.First, r.current.Code)
	if err = errors.Join(err, r.out.Flush()); err != nil {
		r.err = err
	}
}

// writeLine writes a line at once.
func (r *recorder) writeLine(format string, a ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := fmt.Fprintf(r.out, format+"\n", a...)
	return errors.Join(err, r.out.Flush())
}

// flush is called every flushEvery. It is also when the event of the current
// transaction is written, if that has changed: a long one is seen while it lasts,
// and many short ones cost nothing more.
func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live && r.open && !r.closed && r.current != r.written {
		r.written = r.current
		e := r.current
		e.End, e.Unfinished = r.since(), true
		r.line = append(r.line[:0], "open "...)
		r.line = appendEvent(r.line, e)
		if _, err := r.out.Write(r.line); err != nil {
			r.err = err
		}
	}
	if err := r.out.Flush(); err != nil {
		r.err = err
	}
}

// appendEvent appends an event as a line: "event" and ten numbers, times in
// microseconds. It is short because there may be a hundred thousand a second.
func appendEvent(b []byte, e report.Event) []byte {
	b = append(b, "event"...)
	unfinished := int64(0)
	if e.Unfinished {
		unfinished = 1
	}
	for _, n := range [...]int64{
		int64(e.First), int64(e.Rows), micros(e.Ready), micros(e.Wants), micros(e.Begun), micros(e.Released), micros(e.End),
		micros(e.Task), int64(e.Code), unfinished,
	} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return append(b, '\n')
}

// parseEvent parses a line that appendEvent wrote, without its end. The events
// of a long trial are parsed several times, so it takes no memory.
func parseEvent(line []byte) (report.Event, error) {
	rest, ok := bytes.CutPrefix(line, []byte("event"))
	var n [10]int64
	for i := range n {
		if !ok {
			break
		}
		n[i], rest, ok = parseField(rest)
	}
	if !ok || len(rest) > 0 {
		return report.Event{}, fmt.Errorf("lab: not an event: %q", line)
	}
	return report.Event{
		First: int(n[0]), Rows: int(n[1]), Ready: fromMicros(n[2]), Wants: fromMicros(n[3]), Begun: fromMicros(n[4]),
		Released: fromMicros(n[5]), End: fromMicros(n[6]), Task: fromMicros(n[7]), Code: int(n[8]), Unfinished: n[9] == 1,
	}, nil
}

// parseField parses a blank and a whole number of at most 18 digits.
func parseField(b []byte) (n int64, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != ' ' {
		return 0, b, false
	}
	b = b[1:]
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	digits := 0
	for ; digits < len(b) && digits < 18 && b[digits] >= '0' && b[digits] <= '9'; digits++ {
		n = 10*n + int64(b[digits]-'0')
	}
	if negative {
		n = -n
	}
	return n, b[digits:], digits > 0
}

func micros(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

func fromMicros(micros int64) time.Duration {
	if micros < 0 {
		return -1
	}
	return time.Duration(micros) * time.Microsecond
}
