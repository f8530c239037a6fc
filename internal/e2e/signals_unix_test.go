//go:build unix

package e2e

import "syscall"

// To hold a process and let it go on.
const (
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)
