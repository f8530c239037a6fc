package child

import "syscall"

// attributes puts a child into a process group of its own. If the parent is
// killed, the kernel kills the child, which may be stopped and unable to see
// that its input has ended.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
