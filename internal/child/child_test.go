package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary a child, and a parent that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "echo":
			for line := range Orders(bufio.NewReader(os.Stdin)) {
				fmt.Println("heard", line)
			}
			os.Exit(0)
		case "fail":
			fmt.Fprintln(os.Stderr, "no such thing\nmore of it")
			os.Exit(3)
		case "deaf":
			fmt.Println("ready")
			time.Sleep(time.Hour)
		case "parent":
			p, err := Start(context.Background(), []string{os.Args[0], "deaf"}, os.Stderr)
			if err == nil {
				_, err = bufio.NewReader(p.Stdout).ReadString('\n')
			}
			fmt.Println("ready", err)
			time.Sleep(time.Hour)
		}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, role string) *Process {
	t.Helper()
	p, err := Start(t.Context(), []string{os.Args[0], role}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReleaseEndsAChild(t *testing.T) {
	p := start(t, "echo")
	if _, err := io.WriteString(p.Stdin, "one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(p.Stdout)
	if line, err := lines.ReadString('\n'); err != nil || line != "heard one\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := errors.Join(p.Release(), p.Release()); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "heard two\n" {
		t.Errorf("%q, %v", rest, err)
	}
	if err := errors.Join(p.Wait(), p.Wait()); err != nil {
		t.Error(err)
	}
}

func TestFailure(t *testing.T) {
	p := start(t, "fail")
	if err := p.Wait(); err == nil || p.Failure() != "no such thing" {
		t.Errorf("%v, %q", err, p.Failure())
	}
	p = start(t, "deaf")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || !strings.Contains(p.Failure(), "killed") {
		t.Errorf("%v, %q", err, p.Failure())
	}
}

// TestWaitAtMostKills: a child that is stopped, or does not listen, is killed.
func TestWaitAtMostKills(t *testing.T) {
	p := start(t, "deaf")
	if PauseUnsupported == "" {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitAtMost(50 * time.Millisecond); err == nil {
		t.Error("it ended by itself")
	}
}

// TestKilledParent: the child has inherited the write end of a pipe, which ends
// with the last process that has it.
func TestKilledParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "parent")
	cmd.Stderr = w
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready <nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the child lives: %v", err)
	}
	_ = cmd.Wait() // killed, as wanted
}
