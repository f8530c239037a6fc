package scene

import "syscall"

// apart gives an actor a process group of its own, which a Ctrl-C at the
// terminal does not reach: the director ends it. If the director is killed,
// the kernel kills the actor, which may be stopped and unable to see that its
// input has ended.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
