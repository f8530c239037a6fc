package locks

// Processes that hold locks, for the tests: this test binary again.

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

const holderEnv = "LOCKS_TEST_HOLDER"

func TestMain(m *testing.M) {
	switch os.Getenv(holderEnv) {
	case "hold":
		end(hold(os.Args[1], os.Args[2:]))
	case "watch":
		end(watchForParent(os.Args[1]))
	}
	os.Exit(m.Run())
}

func end(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// hold runs the statements, says so, and holds what they locked until its
// standard input closes.
func hold(path string, statements []string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// watchForParent tells what a Watcher sees from where this process runs.
func watchForParent(path string) error {
	w, err := NewWatcher(path)
	if err != nil {
		return err
	}
	v, err := w.Look(time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Printf("visible %v; %s; %s\n", v.Visible, show(v.Locks), strings.Join(v.Notes, "; "))
	if v.WAL != nil {
		fmt.Printf("; WAL %s\n", readers(v.WAL))
	}
	return err
}

type holder struct {
	*exec.Cmd
	stdin io.Closer
}

// startHolder starts a holder and returns when it holds. Both the environment
// and the statements may be empty.
func startHolder(t *testing.T, path, env string, statements ...string) *holder {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{path}, statements...)...)
	cmd.Env = append(os.Environ(), holderEnv+"=hold", env)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &holder{cmd, stdin}
	t.Cleanup(func() { h.kill(t) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("holder: %q, %v", line, err)
	}
	return h
}

// kill ends the holder as kill -9 does, and returns when it is gone.
func (h *holder) kill(t *testing.T) {
	if h.ProcessState != nil {
		return
	}
	if err := h.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := h.Wait(); err == nil {
		t.Error("the holder ended before it was killed")
	}
}

// database makes a database in the mode, with a table, and leaves no
// connection to it.
func database(t *testing.T, mode string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"pragma journal_mode=" + mode, "create table t(x)", "insert into t values(1)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
