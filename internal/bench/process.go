package main

// Processes: the commands as a user runs them, and what each of them used.

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // counts the rows of every database
)

// programs are the built commands and the sqlite3 shell.
type programs struct {
	folder              string
	shell, shellVersion string // "" if there is none
}

func (p programs) path(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.folder, name)
}

// programFolder is where the programs are built, "" for the folder of the run. Tests keep
// them, because go build links only what has changed.
var programFolder string

func build(ctx context.Context, folder string) (programs, error) {
	p := programs{folder: folder}
	args := []string{"build", "-o", folder + string(filepath.Separator)}
	for _, pkg := range []string{"broker", "producer", "consumer", "contention", "data/generate", "internal/bench"} {
		args = append(args, "turnstile/"+pkg)
	}
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return p, fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		return p, nil // without the shell, .import is not measured
	}
	out, err := exec.CommandContext(ctx, shell, "--version").Output()
	p.shell = shell
	p.shellVersion, _, _ = strings.Cut(string(out), " ")
	return p, err
}

// A usage is what one process used from start to exit.
type usage struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpu_seconds"` // user and system
	Peak int64   `json:"peak_bytes"`  // resident memory; 0 if unknown
}

// A process is a running command.
type process struct {
	name     string
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

// start starts a command. Its name is that of the program and, for a
// subcommand, of its first argument.
func (b *bench) start(ctx context.Context, stdin, program string, args ...string) (*process, error) {
	path := program
	if !filepath.IsAbs(program) {
		path = b.path(program)
	}
	p := &process{name: filepath.Base(program), cmd: exec.CommandContext(ctx, path, args...)}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !strings.Contains(args[0], ".") {
		p.name += " " + args[0]
	}
	p.cmd.Stdin = strings.NewReader(stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return p, nil
}

// stop interrupts a process that does not end by itself.
func (p *process) stop() (usage, error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return usage{}, errors.Join(err, p.cmd.Process.Kill(), p.cmd.Wait())
	}
	return p.wait()
}

func (p *process) wait() (usage, error) {
	if err := p.cmd.Wait(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", p.name, err, p.err.Bytes()[max(0, p.err.Len()-4096):])
	}
	state := p.cmd.ProcessState
	return usage{p.name, (state.UserTime() + state.SystemTime()).Seconds(), peak(state)}, nil
}

// finish runs a command to its end.
func (b *bench) finish(ctx context.Context, stdin, program string, args ...string) (usage, []byte, error) {
	p, err := b.start(ctx, stdin, program, args...)
	if err != nil {
		return usage{}, nil, err
	}
	u, err := p.wait()
	return u, p.out.Bytes(), err
}

// withBroker calls run while a broker with an empty queue runs, and returns what
// the broker used.
func (b *bench) withBroker(ctx context.Context, dir string, run func(address string) error) (u usage, err error) {
	address, err := freeAddress()
	if err != nil {
		return u, err
	}
	monitor, err := freeAddress()
	if err != nil {
		return u, err
	}
	p, err := b.start(ctx, "", "broker", "--listen", address, "--monitor", monitor, "--store", filepath.Join(dir, "queue"))
	if err != nil {
		return u, err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, _, err = b.finish(ctx, "", "broker", "healthcheck", "--monitor", monitor)
		if err == nil || ctx.Err() != nil || time.Since(began) > startLimit {
			break
		}
	}
	if err == nil {
		err = run(address)
	}
	u, stopErr := p.stop()
	return u, errors.Join(err, stopErr)
}

// startLimit bounds the start of a process, on a machine that may be busy.
const startLimit = time.Minute

// freeAddress returns an address whose port was free a moment ago, outside the range of
// outgoing connections: one of those could take the port before its user does.
func freeAddress() (address string, err error) {
	for range 100 {
		address = fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", err
}

// file generates a file of rows, once for each size.
func (b *bench) file(ctx context.Context, rows int) (string, error) {
	path := filepath.Join(b.work, fmt.Sprintf("mta-%d.csv", rows))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	_, _, err := b.finish(ctx, "", "generate", "--rows", strconv.Itoa(rows), "--output", path)
	return path, err
}

// fresh calls run with an empty folder, after the file is in the page cache and
// earlier writes are on the disk: no run pays for the one before.
func (b *bench) fresh(file string, run func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(b.work, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	flushDisk()
	return run(dir)
}

// countRows checks that a table has all rows, and returns the bytes of the
// database and its WAL.
func countRows(ctx context.Context, path, table string, want int) (bytes int64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			bytes += info.Size()
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	got := 0
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&got); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", path, err)
	}
	if got != want {
		return 0, fmt.Errorf("%s has %d rows, want %d", path, got, want)
	}
	return bytes, nil
}

// loadAverage returns how many programs wanted a processor in the last minute,
// or "" if it is unknown.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
