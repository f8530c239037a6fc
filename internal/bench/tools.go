package main

// The programs that are measured: our commands, built once, and the sqlite3
// shell.

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// tools are the programs a run needs.
type tools struct {
	dir    string
	shell  string // the sqlite3 shell; "": there is none
	sqlite string // its version
}

func (t tools) path(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(t.dir, name)
}

// build builds our commands into a folder, as `go build` does for a user.
func build(ctx context.Context, dir string) (tools, error) {
	t := tools{dir: dir}
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, pkg := range []string{"broker", "producer", "consumer", "contention", "data/generate", "internal/bench/plain", "internal/bench/latency"} {
		args = append(args, "turnstile/"+pkg)
	}
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return t, fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	return t, t.findShell(ctx)
}

// findShell looks for the sqlite3 shell. That there is none is no error: what
// needs it is left out, and the report says so.
func (t *tools) findShell(ctx context.Context) error {
	path, err := exec.LookPath("sqlite3")
	if err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	t.shell = path
	t.sqlite, _, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return nil
}
