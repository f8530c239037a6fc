package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// stopBound is how long a process may take to end after Ctrl-C. The promise is two
// seconds on an idle machine: see TestCtrlC.
const stopBound = time.Minute

// A service is a process that is started again when it ends by itself, as a
// service manager would.
type service struct {
	t        *testing.T
	program  string
	args     []string
	log      *os.File
	once     bool          // it may end by itself, with status 0
	finished chan struct{} // closed when it has

	mu    sync.Mutex
	up    bool // it should run
	alone int  // how often it ended by itself
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
}

// service returns a service that is not started. It is killed at the end of the
// test.
func (r *round) service(name string, args ...string) *service {
	log, err := os.OpenFile(filepath.Join(r.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	s := &service{t: r.t, program: binary(r.t, name), args: args, log: log, finished: make(chan struct{})}
	r.t.Cleanup(func() {
		s.stop(os.Kill)
		s.checkLog(name)
		if err := log.Close(); err != nil {
			r.t.Error(err)
		}
	})
	return s
}

func (s *service) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = true
	s.launch()
}

// launch starts the process. The caller holds mu.
func (s *service) launch() {
	cmd := exec.Command(s.program, s.args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	go s.wait(cmd, s.ended)
}

func (s *service) wait(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	close(ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.cmd != cmd {
		return
	}
	if err == nil && s.once {
		s.up = false
		close(s.finished)
		return
	}
	s.alone++
	fmt.Fprintf(s.log, "--- it has ended by itself: %v\n", err)
	time.AfterFunc(100*time.Millisecond, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.up && s.cmd == cmd {
			s.launch()
		}
	})
}

// endedAlone returns how often the process has ended by itself.
func (s *service) endedAlone() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// signal sends a signal to the process if it runs.
func (s *service) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("%s %v: %v", s.program, sig, err)
	}
}

// kill sends SIGKILL, and does not wait.
func (s *service) kill() {
	s.mu.Lock()
	s.up = false
	s.mu.Unlock()
	s.signal(os.Kill)
}

// stop ends the process by a signal, and waits for its end.
func (s *service) stop(sig os.Signal) {
	s.mu.Lock()
	s.up = false
	ended := s.ended
	s.mu.Unlock()
	if ended == nil {
		return
	}
	s.signal(sig)
	select {
	case <-ended:
	case <-time.After(stopBound):
		s.t.Errorf("%s has not ended %v after %v", s.program, stopBound, sig)
		s.signal(os.Kill)
		<-ended
	}
}

// stopped waits until the process has ended by itself, and leaves it so.
func (s *service) stopped(within time.Duration) error {
	s.mu.Lock()
	ended := s.ended
	s.up = false
	s.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-time.After(within):
		s.signal(os.Kill)
		<-ended
		return fmt.Errorf("%s has not ended by itself after %v", s.program, within)
	}
}

var crashed = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE).*`)

// checkLog fails the test if the process has crashed, and shows the log of a test
// that has failed.
func (s *service) checkLog(name string) {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		s.t.Error(err)
		return
	}
	if found := crashed.Find(text); found != nil {
		s.t.Errorf("%s: %s", name, found)
	}
	if s.t.Failed() {
		s.t.Logf("%s %q:\n%s", name, s.args, tail(string(text)))
	}
}

func tail(log string) string {
	const most = 6000
	return log[max(0, len(log)-most):]
}
