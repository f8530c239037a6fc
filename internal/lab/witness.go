package lab

// A witness that is none of the processes: the system's own table of locks,
// sampled during a trial. It names the holder where a row was refused, also
// one that is no process of ours.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"turnstile/internal/locks"
)

// sampleEvery costs a few thousandths of a CPU.
const sampleEvery = 10 * time.Millisecond

type witness struct {
	history *locks.History
	stop    context.CancelFunc
	done    chan error
}

// observe begins to sample. The parent has no connection to the database
// meanwhile: it would not be safe to look at its locks beside one. Where the
// system does not tell, there is no witness.
func observe(path string) (*witness, error) {
	sampler, err := locks.NewSampler(path)
	if errors.Is(err, locks.ErrUnsupported) {
		return &witness{stop: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &witness{history: locks.NewHistory(), stop: cancel, done: make(chan error, 1)}
	go func() { w.done <- errors.Join(w.history.Follow(ctx, sampler, sampleEvery), sampler.Close()) }()
	return w, nil
}

// end stops sampling. It may be called again.
func (w *witness) end() error {
	w.stop()
	if w.done == nil {
		return nil
	}
	err := <-w.done
	w.done = nil
	return err
}

// testify adds to each lockout who was seen with the lock for most of its
// wait.
func (w *witness) testify(t *Trial, zero time.Time, accounts []account) {
	if w.history == nil {
		return
	}
	for i := range t.Lockouts {
		l := &t.Lockouts[i]
		hold, ok := w.history.Writer(zero.Add(l.At-l.Waited), zero.Add(l.At))
		if !ok {
			continue // held too shortly to be seen
		}
		l.Seen = &Seen{PID: hold.PID, Lock: string(hold.Lock), Process: fmt.Sprintf("%s, not of this trial", hold.Command)}
		k := slices.IndexFunc(accounts, func(a account) bool { return a.PID == hold.PID })
		if k >= 0 {
			l.Seen.Process = accounts[k].Name
		} else {
			l.Seen.Foreign = true
		}
	}
}
