//go:build !linux

package locks

// Everywhere else: nothing, said clearly.

import "time"

// A Sampler looks at the locks on one database again and again. Here it can't.
type Sampler struct{}

// NewSampler returns ErrUnsupported.
func NewSampler(string) (*Sampler, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Sampler) Close() error { return nil }

// Path is empty.
func (*Sampler) Path() string { return "" }

// Changed is false.
func (*Sampler) Changed() bool { return false }

// Sample returns ErrUnsupported.
func (*Sampler) Sample(time.Time) ([]Lock, error) { return nil, ErrUnsupported }

// A Watcher sees more than a Sampler. Here it can't.
type Watcher struct{}

// NewWatcher returns ErrUnsupported.
func NewWatcher(string) (*Watcher, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Path is empty.
func (*Watcher) Path() string { return "" }

// Look returns ErrUnsupported.
func (*Watcher) Look(time.Time) (View, error) { return View{}, ErrUnsupported }

// Open returns nothing.
func (*Watcher) Open([]Lock) (open []Process, barred int) { return nil, 0 }

// Stopped is false.
func Stopped(int) bool { return false }
