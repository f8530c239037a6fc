//go:build unix

package child

import "syscall"

// PauseUnsupported says why this system cannot pause a process; empty where it
// can.
const PauseUnsupported = ""

// Pause stops the process with SIGSTOP: it keeps its locks and does nothing.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets a paused process run again with SIGCONT.
func (p *Process) Continue() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
