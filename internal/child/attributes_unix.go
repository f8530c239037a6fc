//go:build unix && !linux

package child

import "syscall"

// attributes puts a child into a process group of its own. If the parent is
// killed while the child is stopped, the group is orphaned, and the kernel
// sends it the SIGHUP that ends it.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
