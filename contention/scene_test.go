package main

// The command around the scenes; the stories themselves are tested in
// internal/scene.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"turnstile/internal/cli"
	scenes "turnstile/internal/scene"
)

// The scenes start this binary again as their children.
func init() {
	if len(os.Args) == 2 && os.Args[1] == "actor" {
		env := cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
		os.Exit(cli.Status("contention", env, actor(context.Background(), nil, env), hint))
	}
}

func runScene(ctx context.Context, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}
	status = cli.Status("contention", env, scene(ctx, args, env), hint)
	return out.String(), errs.String(), status
}

func TestSceneAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, trace, page := filepath.Join(dir, "scenes.json"), filepath.Join(dir, "traces", "all.json"), filepath.Join(dir, "all.html")
	out, errs, status := runScene(t.Context(), "all", "--format", "json", "--dir", filepath.Join(dir, "var"), "--output", file,
		"--trace", trace, "--html", page)
	if status != 0 || errs != "creating the folder "+filepath.Join(dir, "var")+"\nwrote "+trace+": open it in ui.perfetto.dev\nwrote "+page+": open it in a browser\n" {
		t.Fatalf("status %d, stderr %s", status, errs)
	}
	saved, err := os.ReadFile(file)
	if err != nil || string(saved) != out {
		t.Errorf("--output has something else than stdout (%v)", err)
	}
	var p sceneResult
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	if trace, err := os.ReadFile(trace); err != nil || !json.Valid(trace) || !bytes.Contains(trace, []byte("deadlock 1: ")) {
		t.Errorf("%v, trace:\n%s", err, trace)
	}
	if page, err := os.ReadFile(page); err != nil || !bytes.Contains(page, []byte(`"type":"scene","scene":{"name":"deadlock"`)) {
		t.Errorf("%v, page of %d bytes", err, len(page))
	}
	list, _, status := runScene(t.Context(), "list")
	if lines := strings.Count(list, "\n"); status != 0 || lines != len(p.Scenes) || lines == 0 || p.Interrupted {
		t.Errorf("%d scenes were played, list has:\n%s", len(p.Scenes), list)
	}
	for _, s := range p.Scenes {
		if !strings.Contains(list, s.Name) || !strings.Contains(list, s.Title) {
			t.Errorf("%s is not in the list", s.Name)
		}
		if !s.OK && !strings.Contains(*s.Error, scenes.ErrUnsupported.Error()) {
			t.Errorf("%s: %s", s.Name, *s.Error)
		}
		if s.OK && (s.Seconds > limit.Seconds() || s.Seconds <= 0 || len(s.Acts) == 0 || s.Why == "" || s.Cure == "" || len(s.Links) == 0) {
			t.Errorf("incomplete: %+v", s)
		}
	}
}

func TestSceneText(t *testing.T) {
	t.Parallel()
	out, errs, status := runScene(t.Context(), "snapshot", "--dir", t.TempDir())
	for _, want := range []string{"snapshot: ", "517 SQLITE_BUSY_SNAPSHOT at once", "Why: ", "Cure: ", "https://sqlite.org/rescode.html#busy_snapshot"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the text", want)
		}
	}
	if status != 0 || errs != "" || strings.Contains(out, "\x1b") {
		t.Errorf("status %d, stderr %s, stdout %s", status, errs, out)
	}
}

// onWrite calls a function at each write.
type onWrite func()

func (f onWrite) Write(b []byte) (int, error) { f(); return len(b), nil }

// TestScenePause: nothing is shown before Enter.
func TestScenePause(t *testing.T) {
	t.Parallel()
	args := []string{"deadlock", "--pause", "--dir", t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	never, closeInput := io.Pipe()
	defer closeInput.Close() // a pipe's never fails
	var out bytes.Buffer
	env := cli.Env{Stdin: never, Stdout: &out, Stderr: onWrite(cancel)} // interrupted at the first prompt
	if status := cli.Status("contention", env, scene(ctx, args, env), hint); status != 1 {
		t.Errorf("interrupted: status %d", status)
	}
	if text := out.String(); !strings.Contains(text, "1. BEGIN, read, write") || strings.Contains(text, "2. the cure") {
		t.Errorf("before Enter:\n%s", text)
	}
	out.Reset()
	prompts := 0
	env = cli.Env{Stdin: strings.NewReader("\n\n"), Stdout: &out, Stderr: onWrite(func() { prompts++ })}
	if status := cli.Status("contention", env, scene(t.Context(), args, env), hint); status != 0 || prompts != 2 || !strings.Contains(out.String(), "Cure: ") {
		t.Errorf("status %d after %d prompts:\n%s", status, prompts, out.String())
	}
	if _, errs, status := runScene(t.Context(), "deadlock", "--pause", "--format", "json"); status != 2 || !strings.Contains(errs, "--pause is for") {
		t.Errorf("with --format json: status %d, %s", status, errs)
	}
}

func TestSceneInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, errs, status := runScene(ctx, "deadlock", "--format", "json", "--dir", t.TempDir())
	var p sceneResult
	if err := json.Unmarshal([]byte(out), &p); err != nil || !p.Interrupted || len(p.Scenes) != 1 || p.Scenes[0].OK {
		t.Errorf("%v, %s", err, out)
	}
	if status != 1 || errs != "contention: interrupted in scene deadlock\n" {
		t.Errorf("status %d, stderr %s", status, errs)
	}
}

// TestSceneUnsupported: a scene that this system cannot play is an error only
// if it is the only one.
func TestSceneUnsupported(t *testing.T) {
	never := scenes.Scene{Name: "never", Unsupported: "no moon"}
	deadlock, ok := scenes.Find("deadlock")
	if !ok {
		t.Fatal("no deadlock")
	}
	o := scenes.Options{Dir: t.TempDir()}
	if _, err := play(t.Context(), []scenes.Scene{never}, o); !errors.Is(err, scenes.ErrUnsupported) {
		t.Errorf("alone: %v", err)
	}
	p, err := play(t.Context(), []scenes.Scene{never, deadlock}, o)
	if err != nil || len(p.Scenes) != 2 || p.Scenes[0].OK || !p.Scenes[1].OK {
		t.Errorf("among others: %v, %+v", err, p)
	}
}

func TestSceneMistyped(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "contention: which scene?\ncontention: hint: " + cli.Invocation("contention") + " scene list\n"},
		{"deadlok", "contention: unknown scene \"deadlok\"\ncontention: hint: use one of: deadlock, "},
		{"deadlock schema", "unexpected argument \"schema\""},
		{"deadlock --format yaml", "--format is \"yaml\""},
		{"list --format yaml", "--format is \"yaml\""},
	} {
		out, errs, status := runScene(t.Context(), strings.Fields(c.args)...)
		if status != 2 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("scene %s: status %d, stdout %q, stderr %q, want %q", c.args, status, out, errs, c.want)
		}
	}
}

func TestSceneHelp(t *testing.T) {
	out, _, status := runScene(t.Context(), "--help-all")
	if status != 0 || !strings.Contains(out, "scene deadlock") || !strings.Contains(out, fmt.Sprintf("%q", "at_once")) {
		t.Errorf("status %d, help:\n%s", status, out)
	}
}
