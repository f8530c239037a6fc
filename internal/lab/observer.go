package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
)

// sampleEvery costs a few thousandths of a CPU.
const sampleEvery = 10 * time.Millisecond

// observer samples the operating system's table of locks during a trial. It
// also sees lock holders that are not processes of the trial.
type observer struct {
	history *locks.History
	stop    context.CancelFunc
	done    chan error
}

// observe begins to sample. The lab must have no connection to the database
// meanwhile: closing a descriptor of the file would drop its locks. Where the
// system has no such table, the observer sees nothing.
func observe(path string) (*observer, error) {
	sampler, err := locks.NewSampler(path)
	if errors.Is(err, locks.ErrUnsupported) {
		return &observer{stop: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &observer{history: locks.NewHistory(), stop: cancel, done: make(chan error, 1)}
	go func() { o.done <- errors.Join(o.history.Follow(ctx, sampler, sampleEvery), sampler.Close()) }()
	return o, nil
}

// end stops sampling. It may be called again.
func (o *observer) end() error {
	o.stop()
	if o.done == nil {
		return nil
	}
	err := <-o.done
	o.done = nil
	return err
}

// addTo adds to each wait that ended with SQLITE_BUSY who was seen with the
// lock for most of it.
func (o *observer) addTo(t *report.Trial, zero time.Time, traces []report.Trace) {
	if o.history == nil {
		return
	}
	for i := range t.Busy {
		b := &t.Busy[i]
		hold, ok := o.history.Writer(zero.Add(b.At-b.Waited), zero.Add(b.At))
		if !ok {
			continue // each hold was too short to be sampled
		}
		b.Observed = &report.Observed{PID: hold.PID, Lock: string(hold.Lock), Process: hold.Command, External: true}
		k := slices.IndexFunc(traces, func(t report.Trace) bool { return t.PID == hold.PID })
		if k >= 0 {
			b.Observed.Process, b.Observed.External = traces[k].Process, false
		}
	}
}
