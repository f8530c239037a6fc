//go:build !unix

package scene

import (
	"errors"
	"runtime"
)

const unableToStop = runtime.GOOS + " has no SIGSTOP, so nothing here can stop a process and let it go on"

func (p *process) stop() error { return errors.ErrUnsupported }

func (p *process) resume() error { return errors.ErrUnsupported }
