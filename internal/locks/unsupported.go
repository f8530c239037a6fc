//go:build !linux

package locks

import "time"

// Sampler is for Linux only.
type Sampler struct{}

// NewSampler returns ErrUnsupported.
func NewSampler(string) (*Sampler, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Sampler) Close() error { return nil }

// Path returns "".
func (*Sampler) Path() string { return "" }

// Changed returns false.
func (*Sampler) Changed() bool { return false }

// Sample returns ErrUnsupported.
func (*Sampler) Sample(time.Time) ([]Lock, error) { return nil, ErrUnsupported }

// Watcher is for Linux only.
type Watcher struct{}

// NewWatcher returns ErrUnsupported.
func NewWatcher(string) (*Watcher, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Path returns "".
func (*Watcher) Path() string { return "" }

// Look returns ErrUnsupported.
func (*Watcher) Look(time.Time) (View, error) { return View{}, ErrUnsupported }

// Open returns nothing.
func (*Watcher) Open([]Lock) (open []Process, unreadable int) { return nil, 0 }

// Describe returns the PID.
func Describe(pid int) Process { return Process{PID: pid} }

// NetworkFileSystem returns "".
func NetworkFileSystem(string) (name string, certain bool) { return "", false }
