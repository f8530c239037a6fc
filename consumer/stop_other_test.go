//go:build !unix

package main

import (
	"os"
	"testing"
)

func signalStop(t *testing.T, _ *os.Process) { t.Skip("SKIPPED: this system stops no process") }
