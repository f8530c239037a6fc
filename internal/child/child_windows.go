package child

import (
	"errors"
	"syscall"
)

// attributes puts a child into a process group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// PauseUnsupported says why this system cannot pause a process.
const PauseUnsupported = "Windows has no SIGSTOP, so no process can be stopped and continued here"

// Pause returns [errors.ErrUnsupported].
func (p *Process) Pause() error { return errors.ErrUnsupported }

// Continue returns [errors.ErrUnsupported].
func (p *Process) Continue() error { return errors.ErrUnsupported }
