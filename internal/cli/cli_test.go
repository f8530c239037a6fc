package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type lowError struct{ error }

func lowHint(err error) string {
	if _, ok := err.(lowError); ok {
		return "from the table"
	}
	return ""
}

func TestStatus(t *testing.T) {
	plain := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		err    error
		status int
		stderr string
	}{
		{"done", nil, 0, ""},
		{"failed", plain, 1, "broker: the disk is full\n"},
		{"hint", WithHint(plain, "free some"), 1, "broker: the disk is full\nbroker: hint: free some\n"},
		{"hint of a package below", fmt.Errorf("x: %w", lowError{plain}), 1, "broker: x: the disk is full\nbroker: hint: from the table\n"},
		{"joined", errors.Join(plain, WithHint(plain, "free some")), 1, "broker: the disk is full\nthe disk is full\nbroker: hint: free some\n"},
		{"usage error", Usagef("use 0", "--limit is %d", -3), 2, "broker: --limit is -3\nbroker: hint: use 0\n"},
		{"interrupted", fmt.Errorf("%w after line 7", ErrInterrupted), 1, "broker: interrupted after line 7\n"},
		{"reported in the result", ErrFailed, 1, ""},
		{"reported in the result, with a hint", WithHint(ErrFailed, "again"), 1, "broker: hint: again\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			if got := Status("broker", Env{Stdout: &out, Stderr: &stderr}, c.err, lowHint); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if stderr.String() != c.stderr {
				t.Errorf("stderr %q, want %q", stderr.String(), c.stderr)
			}
		})
	}
}

// The exit status does not depend on whether the error can be written.
func TestStatusWithoutStderr(t *testing.T) {
	closed, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	if err != nil || closed.Close() != nil {
		t.Fatal(err)
	}
	if got := Status("broker", Env{Stderr: closed}, Usagef("use 0", "--limit is -3"), nil); got != 2 {
		t.Errorf("status %d, want 2", got)
	}
}

func TestFlags(t *testing.T) {
	parse := func(args ...string) (string, bool, error) {
		var out bytes.Buffer
		f := NewFlags("broker", "broker queues rows.")
		f.Int("often", 1, "used often")
		f.Int("seldom", 1, "used seldom")
		f.Advanced("seldom")
		f.Manual("The manual.")
		done, err := f.Parse(args, Env{Stdout: &out})
		return out.String(), done, err
	}
	help, done, err := parse("--help")
	if !done || err != nil || !strings.Contains(help, "--often") || strings.Contains(help, "--seldom") || strings.Contains(help, "manual") {
		t.Errorf("--help: done %v, error %v:\n%s", done, err, help)
	}
	all, done, err := parse("--help-all")
	if !done || err != nil || !strings.Contains(all, "--seldom") || !strings.Contains(all, "The manual.") {
		t.Errorf("--help-all: done %v, error %v:\n%s", done, err, all)
	}
	if v, done, err := parse("--version"); !done || err != nil || !strings.HasPrefix(v, "turnstile") {
		t.Errorf("--version: %q, %v, %v", v, done, err)
	}
	if _, done, err := parse("--seldom", "2"); done || err != nil {
		t.Errorf("an advanced flag: %v, %v", done, err)
	}
	var stderr bytes.Buffer
	_, _, err = parse("--often", "x")
	if status := Status("x", Env{Stderr: &stderr}, err, nil); status != 2 || stderr.String() != "x: --often \"x\": must be an integer\nx: hint: --often int: used often\n" {
		t.Errorf("status %d, %q", status, &stderr)
	}
	if _, _, err := parse("--offten"); Status("x", Env{Stderr: io.Discard}, err, nil) != 2 {
		t.Errorf("an unknown flag: %v, want a usage error", err)
	}
}

func TestDispatch(t *testing.T) {
	var got string
	as := func(name string) Command {
		return Command{Name: name, Run: func(_ context.Context, args []string, _ Env) error { got = name + fmt.Sprint(args); return nil }}
	}
	run := Dispatch(as(""), as("load"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "[]"}, {[]string{"load", "x"}, "load[x]"}, {[]string{"--v"}, "[--v]"},
	} {
		if err := run(t.Context(), c.args, Env{}); err != nil || got != c.want {
			t.Errorf("%v ran %q (%v), want %q", c.args, got, err, c.want)
		}
	}
	var stderr bytes.Buffer
	err := run(t.Context(), []string{"laod"}, Env{})
	if status := Status("x", Env{Stderr: &stderr}, err, nil); status != 2 || !strings.Contains(stderr.String(), "hint: use one of: load\n") {
		t.Errorf("an unknown subcommand: status %d, %q", status, &stderr)
	}
}

func TestResult(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "out.txt")
	f := NewFlags("x", "x")
	r := f.ResultFlags("text", "json")
	if _, err := f.Parse([]string{"--output", file}, Env{}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := r.Write(Env{Stdout: &out, Stderr: io.Discard}, func(w io.Writer, colour bool) error {
		_, err := fmt.Fprintf(w, "colour %v\n", colour)
		return err
	})
	saved, readErr := os.ReadFile(file)
	if err != nil || readErr != nil || out.String() != "colour false\n" || string(saved) != out.String() {
		t.Errorf("stdout %q, file %q, %v, %v", &out, saved, err, readErr)
	}
	// A folder that is nowhere near is named before the result.
	var both bytes.Buffer
	r.file = filepath.Join(t.TempDir(), "far", "out.txt")
	err = r.Write(Env{Stdout: &both, Stderr: &both}, func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintln(w, "result")
		return err
	})
	if want := "creating the folder " + filepath.Dir(r.file) + "\nresult\n"; err != nil || both.String() != want {
		t.Errorf("%q, %v, want %q", both.String(), err, want)
	}
	r.Format = "yaml"
	if err := r.Check(); Status("x", Env{Stderr: io.Discard}, err, nil) != 2 {
		t.Errorf("an unknown format: %v, want a usage error", err)
	}
}

func TestLogger(t *testing.T) {
	var stderr bytes.Buffer
	logged := func(args ...string) string {
		t.Helper()
		stderr.Reset()
		f := NewFlags("x", "x")
		if _, err := f.Parse(args, Env{}); err != nil {
			t.Fatal(err)
		}
		log := f.Logger(Env{Stderr: &stderr})
		log.Debug("hidden")
		log.Info("stored", "took", 1234567*time.Nanosecond)
		log.Warn("slow")
		return stderr.String()
	}
	if got := logged(); strings.Contains(got, "hidden") || !strings.Contains(got, "level=INFO msg=stored took=1.2ms") || !strings.Contains(got, "level=WARN msg=slow") {
		t.Errorf("got %s", got)
	}
	if got := logged("-v"); !strings.Contains(got, "hidden") {
		t.Errorf("-v: got %s", got)
	}
	var line struct{ Time, Level, Msg, Took string }
	got := logged("--log-format", "json")
	if err := json.NewDecoder(strings.NewReader(got)).Decode(&line); err != nil || line.Level != "INFO" || line.Msg != "stored" || line.Took != "1.2ms" || line.Time == "" {
		t.Errorf("%v: got %s", err, got)
	}
	if _, err := NewFlags("x", "x").Parse([]string{"--log-format", "xml"}, Env{}); Status("x", Env{Stderr: io.Discard}, err, nil) != 2 {
		t.Errorf("an unknown log format: %v, want a usage error", err)
	}
}

func TestTypeable(t *testing.T) {
	t.Setenv("TURNSTILE_RUN", "run it")
	for hint, want := range map[string]string{
		"consumer load FILE; or contention watch a.db":             "run it consumer load FILE; or run it lab watch a.db",
		"store them: consumer --until-drained; or wait":            "store them: run it consumer --until-drained; or wait",
		"stop the consumer first, and send it with: producer FILE": "stop the consumer first, and send it with: run it producer FILE",
		"start the broker with --tls-cert":                         "start the broker with --tls-cert",
		"go run ./consumer load FILE, bin/broker init":             "go run ./consumer load FILE, bin/broker init",
	} {
		if got := Typeable(hint); got != want {
			t.Errorf("%q became %q, want %q", hint, got, want)
		}
	}
}

// The services of the cluster have names, and a database, of their own.
func TestTypeableInCluster(t *testing.T) {
	t.Setenv("TURNSTILE_RUN", "docker-compose run --no-deps cluster-")
	if got, want := Typeable("list them: consumer rejects"), "list them: docker-compose run --no-deps cluster-consumer rejects"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Service("consumer"); got != "cluster-consumer" {
		t.Errorf("the service is %q", got)
	}
}

// TestTypeableSame is about hints of a command that was given a database or a broker.
func TestTypeableSame(t *testing.T) {
	t.Setenv("TURNSTILE_RUN", "run it")
	t.Cleanup(func() { given.Store(nil) })
	f := NewFlags("consumer verify", "x")
	f.String("db", "var/turnstile.db", "")
	f.ServerFlags()
	if _, err := f.Parse([]string{"--db", "my rides.db", "--server", "nats://a:1"}, Env{}); err != nil {
		t.Fatal(err)
	}
	for hint, want := range map[string]string{
		"create it: consumer load FILE; or use another: --db FILE": "create it: run it consumer load --db 'my rides.db' FILE; or use another: --db FILE",
		"list them: consumer rejects":                              "list them: run it consumer rejects --db 'my rides.db'",
		"consumer --until-drained":                                 "run it consumer --db 'my rides.db' --server nats://a:1 --until-drained",
		"producer --from-line 3 a.csv":                             "run it producer --server nats://a:1 --from-line 3 a.csv",
		"contention watch a.db":                                    "run it lab watch a.db",
		"broker init":                                              "run it broker init",
	} {
		if got := Typeable(hint); got != want {
			t.Errorf("%q became %q, want %q", hint, got, want)
		}
	}
}

func TestInvocation(t *testing.T) {
	for _, c := range []struct{ typed, self, want string }{
		{"/tmp/go-build123/b001/exe/broker", "/tmp/go-build123/b001/exe/broker", "go run ./producer"},
		{filepath.FromSlash("./bin/broker"), "/home/x/bin/broker", filepath.FromSlash("./bin/producer")},
		{"broker", "/usr/bin/broker", "producer"},
	} {
		if got := invocation("producer", c.typed, c.self, true); got != c.want {
			t.Errorf("%s: %q, want %q", c.typed, got, c.want)
		}
	}
}

// TestMissingUnit says what a bare number of seconds or milliseconds lacks.
func TestMissingUnit(t *testing.T) {
	f := NewFlags("broker", "broker queues rows.")
	f.Duration("task", 0, "the `TIME` of a task")
	_, err := f.Parse([]string{"--task", "20"}, Env{})
	var out bytes.Buffer
	if status := Status("broker", Env{Stderr: &out}, err, nil); status != 2 || !strings.Contains(out.String(), "broker: hint: add the unit: --task 20ms, or 20s") {
		t.Errorf("status %d, %s", status, out.String())
	}
}

// TestExitStatusInHelp is about --help-all of every command.
func TestExitStatusInHelp(t *testing.T) {
	var out bytes.Buffer
	f := NewFlags("broker", "broker queues rows.")
	if _, err := f.Parse([]string{"--help-all"}, Env{Stdout: &out}); err != nil || !strings.Contains(out.String(), "Exit status: 0 done, 1 failed or interrupted before it was done, 2 mistyped, 130 at") {
		t.Errorf("%s, %v", out.String(), err)
	}
}

// TestNewFolder is about folders that are not below the working directory.
func TestNewFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for file, want := range map[string]string{
		"a.txt": "", "sub/a.txt": "", filepath.Join(dir, "a.txt"): "",
		filepath.Join(dir, "none", "a.txt"): filepath.Join(dir, "none"), "../none/a.txt": filepath.FromSlash("../none"),
	} {
		if got := NewFolder(filepath.FromSlash(file)); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestForTerminal(t *testing.T) {
	for _, c := range []struct {
		in   slog.Attr
		want string
	}{
		{slog.String("reason", `ridership is "-3"`), "ridership is '-3'"},
		{slog.Any("error", errors.New(`unknown scene "x"`)), "unknown scene 'x'"},
		{slog.String("reason", `it's "-3"`), `it's "-3"`},
		{slog.String(slog.MessageKey, `"a"`), `"a"`},
		{slog.Int("line", 3), "3"},
	} {
		if got := forTerminal(nil, c.in).Value.String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.in, got, c.want)
		}
	}
}

// A log line is not written behind a progress bar.
func TestLogBesideProgressBar(t *testing.T) {
	write := func() string {
		var b strings.Builder
		if n, err := (textWriter{&b}).Write([]byte("a line\n")); n != 7 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		return b.String()
	}
	bars.Add(1)
	beside := write()
	bars.Add(-1)
	if beside != "\r\x1b[Ka line\n" || write() != "a line\n" {
		t.Errorf("beside a bar %q, without one %q", beside, write())
	}
}
