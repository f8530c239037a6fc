//go:build unix

package e2e

import (
	"os"
	"runtime"
	"syscall"
)

// The signals that stop a process and continue it.
const (
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)

// peakMemory is the most memory a process had resident, in bytes.
func peakMemory(p *os.ProcessState) int64 {
	kib := p.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS == "darwin" {
		return kib // there it counts bytes
	}
	return kib << 10
}
