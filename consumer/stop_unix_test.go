//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

func signalStop(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}
