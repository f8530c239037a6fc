//go:build unix

package e2e

import "syscall"

// The signals that stop a process and continue it.
const (
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)
