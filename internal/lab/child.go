package lab

// The child's side of a trial. A child reads what to do as the first line of
// its standard input, says "ready", and waits for "go"; it writes down what
// happens on its standard output (record.go). It ends when it is done, when it
// is told to stop, when its time is up, and when its standard input closes:
// then the parent is gone, however it went, and nothing is left running.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// A Spec is what one child is told to do.
type Spec struct {
	Setting
	Process  int // 1, 2, ...; 0 is the one writer
	Database string
	Server   string // of the broker, where there is one
	Verbose  bool
}

// Child runs a child process. Returning ends it, whatever its goroutines are
// waiting for: a statement that waits for a lock is left to the operating
// system, which rolls it back.
func Child(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	// Ctrl-C reaches every process of the terminal. The parent decides.
	signal.Ignore(os.Interrupt)

	in := bufio.NewReader(stdin)
	var spec Spec
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("lab: child without a task: %w", err)
	}
	if err := json.Unmarshal(line, &spec); err != nil {
		return fmt.Errorf("lab: read the task: %w", err)
	}
	c := &child{orders: make(chan string), rec: newRecorder(stdout, spec.Verbose)}
	go c.listen(in)
	if spec.Process == 0 {
		err = c.write(ctx, spec)
	} else {
		err = c.run(ctx, spec)
	}
	if err != nil && !errors.Is(err, errOrphan) {
		return errors.Join(err, c.rec.say("X %s", oneLine(err)))
	}
	return err
}

var errOrphan = errors.New("lab: the parent is gone")

type child struct {
	orders chan string // lines of the parent; closed when it is gone
	rec    *recorder
	drain  func() error // what the order "drain" means; nil: nothing
}

func (c *child) listen(in *bufio.Reader) {
	defer close(c.orders)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		c.orders <- strings.TrimSpace(line)
	}
}

// run is the life of a process of the trial.
func (c *child) run(ctx context.Context, spec Spec) error {
	p := &process{spec: spec, rec: c.rec}
	w, err := find(spec.Strategy).start(p)
	if err != nil {
		return err
	}
	if err := c.barrier(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := p.work(w)
		if w.close != nil {
			err = errors.Join(err, w.close())
		}
		done <- err
	}()
	if err := c.until(ctx, done, spec.deadline()); err != nil {
		return err
	}
	return c.rec.handIn(p.taken.Load())
}

// until waits for the end of the work or for what cuts it short.
func (c *child) until(ctx context.Context, done <-chan error, deadline time.Duration) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	timeout := time.After(deadline - c.rec.since())
	drained := make(chan error, 1) // why it could not be
	for {
		select {
		case err := <-done:
			return err
		case <-timeout:
			return nil
		case order, ok := <-c.orders:
			if !ok {
				return errOrphan
			}
			switch {
			case order == "stop":
				return nil
			case order == "drain" && c.drain != nil:
				go func() {
					if err := c.drain(); err != nil {
						drained <- err
					}
				}()
			}
		case err := <-drained:
			return err
		case <-ctx.Done(): // SIGTERM was for this process alone
			return ctx.Err()
		case <-flush.C:
			c.rec.flush()
		}
	}
}

// barrier waits for the moment at which all begin.
func (c *child) barrier() error {
	if err := c.rec.say("ready"); err != nil {
		return err
	}
	order, ok := <-c.orders
	if !ok {
		return errOrphan
	}
	at, err := strconv.ParseInt(strings.TrimPrefix(order, "go "), 10, 64)
	if err != nil {
		return fmt.Errorf("lab: wait for go: got %q", order)
	}
	// The moment comes as wall-clock time, which processes share; from here
	// on the monotonic clock counts.
	now := time.Now()
	c.rec.zero = now.Add(time.Unix(0, at).Sub(now.Round(0)))
	time.Sleep(time.Until(c.rec.zero))
	return c.rec.say("start %d", micros(c.rec.since()))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
