package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
	"turnstile/internal/store"
)

// TestMain lets the test binary be a process that holds a writer's lock until
// its standard input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv("TURNSTILE_TEST_HOLD"); path != "" {
		lock, err := store.Lock(context.Background(), path, func(store.Holder) {})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString("held\n")
		io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(lock)
		return
	}
	os.Exit(m.Run())
}

// lockedBuffer is a log that a test reads while a command writes it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitFor waits until the log has a text.
func (b *lockedBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	for late := time.Now().Add(time.Minute); !strings.Contains(b.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("no %q in the log:\n%s", text, b.String())
		}
	}
}

// startLoad loads a file of one row and one reject in the background.
func startLoad(ctx context.Context, path string) (log *lockedBuffer, ended <-chan int) {
	log = &lockedBuffer{}
	status := make(chan int, 1)
	env := cli.Env{Stdin: strings.NewReader(rows), Stdout: io.Discard, Stderr: log}
	go func() {
		status <- cli.Run(ctx, "consumer", load, []string{"--db", path, "--source", "piped", "-"}, env, hint)
	}()
	return log, status
}

// startWriter opens the database as a consumer does, and closes it again, in the
// background.
func startWriter(ctx context.Context, path string) (log *lockedBuffer, ended <-chan error) {
	log = &lockedBuffer{}
	result := make(chan error, 1)
	go func() {
		db, err := openWriter(ctx, path, slog.New(slog.NewTextHandler(log, nil)), func(store.Holder) {}, func(error) {})
		if err == nil {
			err = db.Close()
		}
		result <- err
	}()
	return log, result
}

// A consumer that starts while another program locks the database waits.
func TestStartWhileLocked(t *testing.T) {
	defer func(t time.Duration) { busyTimeout = t }(busyTimeout)
	busyTimeout = 10 * time.Millisecond
	path := filepath.Join(t.TempDir(), "rides.db")
	if status, _, stderr := try(t.Context(), load, strings.NewReader(rows), "--db", path, "--source", "first", "-"); status != 0 {
		t.Fatalf("load: status %d\n%s", status, stderr)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	log, ended := startLoad(t.Context(), path)
	log.waitFor(t, "retrying")
	log.waitFor(t, " watch "+path)
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if status := <-ended; status != 0 {
		t.Errorf("status %d:\n%s", status, log)
	}
}

// A standby names the writer, and says that it is stopped. So does the health
// check.
func TestStoppedWriter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux tells that a process is stopped")
	}
	path := filepath.Join(t.TempDir(), "rides.db")
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "TURNSTILE_TEST_HOLD="+path)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		holder.Process.Kill()
		holder.Wait()
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("held\n"))); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := try(t.Context(), healthcheck, nil, "--db", path); status != 0 || stdout != "ok\n" {
		t.Errorf("health of a running writer: status %d, %s%s", status, stdout, stderr)
	}
	log, ended := startWriter(t.Context(), path)
	log.waitFor(t, "standing by")
	name := holderName(store.Holder{Host: hostname(t), PID: holder.Process.Pid})
	log.waitFor(t, name)
	signalStop(t, holder.Process)
	for locks.Describe(holder.Process.Pid).State != locks.Stopped {
		time.Sleep(time.Millisecond)
	}
	log.waitFor(t, "the writer is stopped")
	log.waitFor(t, "kill -CONT")
	if status, _, stderr := try(t.Context(), healthcheck, nil, "--db", path); status != 1 || !strings.Contains(stderr, "is stopped") || !strings.Contains(stderr, "kill -CONT") {
		t.Errorf("health of a stopped writer: status %d, %s", status, stderr)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	if err := <-ended; err != nil {
		t.Errorf("%v:\n%s", err, log)
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// The writer is named, and what stops it, by where it runs.
func TestStopHint(t *testing.T) {
	t.Setenv("TURNSTILE_RUN", "")
	here := hostname(t)
	for _, c := range []struct {
		holder     store.Holder
		name, hint string
	}{
		{store.Holder{Host: here, PID: 7}, "process 7", "stop it (Ctrl-C, or kill -INT 7)"},
		{store.Holder{Host: here + "2", PID: 7}, "process 7 on " + here + "2", "stop it on " + here + "2"},
		{store.Holder{}, "another process", "stop it"},
	} {
		if name, hint := holderName(c.holder), stopHint(c.holder); name != c.name || hint != c.hint {
			t.Errorf("%+v: %q, %q; want %q, %q", c.holder, name, hint, c.name, c.hint)
		}
	}
	t.Setenv("TURNSTILE_RUN", "docker-compose run --rm")
	if hint := stopHint(store.Holder{Host: "3f2a", PID: 1}); hint != "stop it: docker-compose stop consumer" {
		t.Errorf("in a container: %q", hint)
	}
}
