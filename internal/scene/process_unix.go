//go:build unix && !linux

package scene

import "syscall"

// apart gives an actor a process group of its own, which a Ctrl-C at the
// terminal does not reach: the director ends it. If the director is killed
// while the actor is stopped, the group is orphaned, and the kernel sends it
// the SIGHUP that ends it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
