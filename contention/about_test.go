package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	machine "turnstile/internal/about"
	"turnstile/internal/cli"
)

func TestAbout(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "about.json")
	var out, errs bytes.Buffer
	env := cli.Env{Stdout: &out, Stderr: &errs}
	if err := describeMachine(t.Context(), []string{"--dir", dir, "--format", "json", "--output", file}, env); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(saved, out.Bytes()) || errs.Len() > 0 {
		t.Errorf("saved %s, printed %s, %v, stderr %s", saved, &out, err, &errs)
	}
	var info machine.Info
	if err := json.Unmarshal(saved, &info); err != nil || info.FileSystem.Dir != dir || info.SQLite == "" {
		t.Errorf("got %s, %v", saved, err)
	}
	if status := cli.Status("contention", env, describeMachine(t.Context(), []string{"x"}, env), hint); status != 2 {
		t.Errorf("an argument: status %d, want 2", status)
	}
}
