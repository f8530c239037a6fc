//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peak returns the largest resident memory of an exited process. It is never less than
// what this process, a small one, had when it started that one.
func peak(state *os.ProcessState) int64 {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	bytes := int64(r.Maxrss)
	if runtime.GOOS != "darwin" {
		bytes *= 1024
	}
	return bytes
}

// flushDisk writes what earlier runs left in the page cache.
func flushDisk() { syscall.Sync() }
