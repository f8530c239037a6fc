package lab

// A child process, as its parent sees it.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An account is what one process wrote down, and how it ended.
type account struct {
	Name    string // P1, P2, ... or "writer"
	Process int
	PID     int
	Records []Record
	Start   time.Duration // after the barrier
	Taken   int           // rows it took in hand or was about to
	Ended   bool          // it said so itself
	EndAt   time.Duration
	Died    string // how, if it did not end itself
}

type member struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *firstLines
	log    *slog.Logger // nil unless verbose
	queue  Queue        // what it waits for, to log it

	ready    chan struct{} // closed when it is
	done     chan struct{} // closed when it is gone and account is complete
	rows     atomic.Int64  // ended so far
	once     sync.Once     // closes stdin
	isReady  bool
	failure  string  // what it said went wrong
	account  account // belongs to the reader until done is closed
	problems error   // lines that could not be read
}

// launch starts a child and tells it what to do.
func launch(binary string, spec Spec, log *slog.Logger) (*member, error) {
	name := fmt.Sprintf("P%d", spec.Process)
	if spec.Process == 0 {
		name = "writer"
	}
	m := &member{
		cmd: exec.Command(binary, "child"), stderr: &firstLines{}, log: log,
		queue: find(spec.Strategy).Queue, ready: make(chan struct{}), done: make(chan struct{}),
		account: account{Name: name, Process: spec.Process},
	}
	m.cmd.Stderr = m.stderr
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", name, err)
	}
	m.account.PID = m.cmd.Process.Pid
	go m.read(stdout)
	task, err := json.Marshal(spec)
	if err != nil {
		return m, err
	}
	_, err = fmt.Fprintf(m.stdin, "%s\n", task)
	return m, err
}

// tell sends an order. That the child may be gone already is no error here:
// its account says so.
func (m *member) tell(order string) {
	if _, err := io.WriteString(m.stdin, order+"\n"); err != nil && m.log != nil {
		m.log.Debug("order not heard", "process", m.account.Name, "order", order, "error", err)
	}
}

func (m *member) gone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// release closes the child's standard input, which ends it.
func (m *member) release() { m.once.Do(func() { _ = m.stdin.Close() }) } // it may be closed by Wait

// read takes down what the child writes, to its end.
func (m *member) read(stdout io.Reader) {
	defer close(m.done)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if err := m.line(lines.Text()); err != nil {
			m.problems = errors.Join(m.problems, err)
		}
	}
	m.problems = errors.Join(m.problems, lines.Err())
	if err := m.cmd.Wait(); err != nil || !m.account.Ended {
		m.account.Died = m.cmd.ProcessState.String()
		for _, why := range []string{m.stderr.String(), m.failure} {
			if why != "" {
				m.account.Died = why
			}
		}
	}
}

func (m *member) line(line string) (err error) {
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case "R":
		r, err := parseRecord(line)
		if err != nil {
			return err
		}
		m.account.Records = append(m.account.Records, r)
		m.rows.Add(int64(r.Rows))
	case "E":
		return m.event(rest)
	case "ready":
		if !m.isReady {
			m.isReady = true
			close(m.ready)
		}
	case "start":
		var at int64
		_, err = fmt.Sscan(rest, &at)
		m.account.Start = duration(at)
		m.say("started", "pid", m.account.PID, "late", m.account.Start)
	case "end":
		var at int64
		_, err = fmt.Sscan(rest, &m.account.Taken, &at)
		m.account.Ended, m.account.EndAt = true, duration(at)
	case "X":
		m.failure = rest
	default:
		return fmt.Errorf("lab: %s wrote %q", m.account.Name, line)
	}
	return err
}

// event logs a step of the child, for -v.
func (m *member) event(rest string) error {
	var at int64
	var what string
	var first, code int
	if _, err := fmt.Sscan(rest, &at, &what, &first, &code); err != nil {
		return fmt.Errorf("lab: %s wrote the event %q: %w", m.account.Name, rest, err)
	}
	args := []any{"row", first + 1, "at", duration(at)}
	if m.account.Process == 0 {
		args = args[2:] // the writer stores rows of all
	}
	queue := m.queue
	if m.account.Process == 0 {
		queue = NoQueue // what it does is write
	}
	waits, done := "waiting for the lock", "committed"
	switch queue {
	case ToQueue:
		waits, done = "publishing", "queued"
	case Request:
		waits, done = "asking the writer", "confirmed"
	}
	switch what {
	case "wants":
		m.say(waits, args...)
	case "lock":
		m.say("has the lock", args...)
	case "done":
		m.say(done, args...)
	case "refused":
		m.say("locked out", append(args, "error", errorText(code))...)
	}
	return nil
}

func (m *member) say(message string, args ...any) {
	if m.log != nil {
		m.log.Info(message, append([]any{"process", m.account.Name}, args...)...)
	}
}

// firstLines keeps the beginning of what a child writes to its standard error:
// where it dies of a panic, that says why.
type firstLines struct {
	mu   sync.Mutex
	kept []byte
}

func (f *firstLines) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, b[:min(len(b), 4096-len(f.kept))]...)
	return len(b), nil
}

func (f *firstLines) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(string(f.kept)), "\n")
	return line
}
