package scene

import "syscall"

// apart gives an actor a process group of its own, which a Ctrl-C at the
// console does not reach: the director ends it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
