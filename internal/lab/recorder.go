package lab

// The notebook of a process: where the row in hand stands, and what is ready
// to be sent to the parent.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// flushEvery bounds what dies with a process that is killed.
const flushEvery = 50 * time.Millisecond

type recorder struct {
	verbose bool
	zero    time.Time // the start barrier

	mu     sync.Mutex // guards all below
	out    *bufio.Writer
	inHand bool
	now    Record
	closed bool // the notebook is handed in: what comes later is not written
	err    error
	line   []byte // kept for its memory
}

func newRecorder(out io.Writer, verbose bool) *recorder {
	return &recorder{out: bufio.NewWriterSize(out, 32<<10), verbose: verbose}
}

func (r *recorder) since() time.Duration { return time.Since(r.zero) }

// begin takes rows in hand.
func (r *recorder) begin(first, rows int, ready time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inHand = true
	r.now = Record{First: first, Rows: rows, Ready: ready, Want: -1, Got: -1}
}

func (r *recorder) wants() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Want = r.since()
	r.tell("wants", r.now.Want)
}

func (r *recorder) hasLock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Got < 0 { // the first row of the transaction took it
		r.now.Got = r.since()
		r.tell("lock", r.now.Got)
	}
}

func (r *recorder) worked(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Task += d
}

// end writes the record of the rows in hand.
func (r *recorder) end(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inHand = false
	r.now.End, r.now.Code = r.since(), code
	if code == 0 {
		r.tell("done", r.now.End)
	} else {
		r.tell("refused", r.now.End)
	}
	r.write(r.now)
}

// handIn writes down the rows in hand, if time ran out for them, and the last
// line: it tells an end from a death. Nothing is written after it.
func (r *recorder) handIn(taken int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	if r.inHand {
		r.now.End, r.now.Unfinished = r.since(), true
		r.write(r.now)
	}
	_, err := fmt.Fprintf(r.out, "end %d %d\n", taken, micros(r.since()))
	r.err = errors.Join(r.err, err, r.out.Flush())
	r.closed = true
	return r.err
}

func (r *recorder) write(rec Record) {
	if r.closed {
		return
	}
	r.line = rec.append(r.line[:0])
	if _, err := r.out.Write(r.line); err != nil {
		r.err = err // the parent is gone, and its closed pipe ends this process
	}
}

// tell reports a step as it happens, for -v.
func (r *recorder) tell(what string, at time.Duration) {
	if !r.verbose || r.closed {
		return
	}
	if _, err := fmt.Fprintf(r.out, "E %d %s %d %d\n", micros(at), what, r.now.First, r.now.Code); err != nil {
		r.err = err
	}
	if err := r.out.Flush(); err != nil {
		r.err = err
	}
}

// say writes a line at once.
func (r *recorder) say(format string, a ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := fmt.Fprintf(r.out, format+"\n", a...)
	return errors.Join(err, r.out.Flush())
}

// flush sends what has been written so far.
func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); err != nil {
		r.err = err
	}
}
