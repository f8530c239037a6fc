package lab

// The children of one trial: started together, let go at one moment, and gone
// when the trial is over, whatever happens.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	startLimit = 30 * time.Second       // for a child to say it is ready
	startDelay = 25 * time.Millisecond  // from "go" to the barrier, so that all have read it
	stopLimit  = 2 * time.Second        // for a child to end once told to, or once its time is over
	drainLimit = 15 * time.Second       // for the writer to store what the others have queued
	maxSpread  = 50 * time.Millisecond  // of the starts, or the trial is repeated
	lookEvery  = 100 * time.Millisecond // at the progress
)

type crew struct {
	members []*member
	writer  *member // nil without a queue; one of members
}

// hire starts a child.
func (c *crew) hire(binary string, spec Spec, log *slog.Logger) error {
	m, err := launch(binary, spec, log)
	if m != nil {
		c.members = append(c.members, m)
		if spec.Process == 0 {
			c.writer = m
		}
	}
	return err
}

// ready waits until every child is.
func (c *crew) ready(ctx context.Context) error {
	limit := time.After(startLimit)
	for _, m := range c.members {
		select {
		case <-m.ready:
		case <-m.done:
			return fmt.Errorf("lab: %s died before the start: %s", m.account.Name, m.account.Died)
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("lab: %s was not ready after %s", m.account.Name, startLimit)
		}
	}
	return nil
}

// start lets all go at one moment, and returns it.
func (c *crew) start() time.Time {
	zero := time.Now().Add(startDelay)
	order := fmt.Sprintf("go %d", zero.UnixNano())
	for _, m := range c.members {
		m.tell(order)
	}
	return zero
}

// processes are the members but for the writer.
func (c *crew) processes() []*member {
	var p []*member
	for _, m := range c.members {
		if m != c.writer {
			p = append(p, m)
		}
	}
	return p
}

// accounts are what the processes wrote down; only for when they are gone.
func (c *crew) accounts() []account {
	var a []account
	for _, m := range c.processes() {
		a = append(a, m.account)
	}
	return a
}

func (c *crew) writerAccount() *account {
	if c.writer == nil {
		return nil
	}
	return &c.writer.account
}

// wait waits for members to be gone, until the context ends or time is up. Who
// is late is told to stop, and if that does not help it is killed.
func (c *crew) wait(ctx context.Context, members []*member, limit time.Time, look func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	timeout := time.After(time.Until(limit))
	for _, m := range members {
		for gone := false; !gone; {
			select {
			case <-m.done:
				gone = true
			case <-tick.C:
				look()
			case <-ctx.Done():
				c.stop(members)
				return
			case <-timeout:
				c.stop(members)
				return
			}
		}
	}
}

// stop asks children to hand in what they have, and kills who does not.
func (c *crew) stop(members []*member) {
	for _, m := range members {
		if !m.gone() {
			m.tell("stop")
		}
	}
	limit := time.After(stopLimit)
	for _, m := range members {
		select {
		case <-m.done:
			continue
		case <-limit:
			limit = time.After(0) // for those after this one too
		}
		select {
		case <-m.done:
		default:
			if err := m.cmd.Process.Kill(); err == nil {
				<-m.done
			}
		}
	}
}

// dismiss ends all that are left, and waits for them.
func (c *crew) dismiss() error {
	var errs error
	for _, m := range c.members {
		m.release()
	}
	c.stop(c.members)
	for _, m := range c.members {
		<-m.done
		errs = errors.Join(errs, m.problems)
	}
	return errs
}

// spread is how far apart the processes started.
func spread(accounts []account) time.Duration {
	var first, last time.Duration
	for i, a := range accounts {
		if i == 0 || a.Start < first {
			first = a.Start
		}
		last = max(last, a.Start)
	}
	return last - first
}
