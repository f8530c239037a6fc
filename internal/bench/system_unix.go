//go:build unix

package main

// What only the system knows of a process, and its disk buffers.

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// peak is the most memory a process had in RAM at once.
func peak(state *os.ProcessState) *int64 {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil
	}
	bytes := int64(r.Maxrss)
	if runtime.GOOS != "darwin" {
		bytes *= 1024
	}
	return &bytes
}

// settle has the system write what earlier runs left to be written, so that no
// run pays for another.
func settle() error {
	if out, err := exec.Command("sync").CombinedOutput(); err != nil {
		return fmt.Errorf("sync: %w\n%s", err, out)
	}
	return nil
}
