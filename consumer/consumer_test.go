package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/cli"
	"turnstile/internal/natsd/natsdtest"
	"turnstile/internal/stream"
)

const rows = "transit_timestamp,station_complex_id,ridership\n2022-01-01 03:00:00,1,1\n2022-01-01 04:00:00,1,x\n"

// try runs a command and returns its exit status and output.
func try(ctx context.Context, command cli.Func, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, log bytes.Buffer
	env := cli.Env{Stdin: stdin, Stdout: &out, Stderr: &log}
	status = cli.Run(ctx, "consumer", command, args, env, hint)
	return status, out.String(), log.String()
}

// lock waits until a database has a row, and then locks it.
func lock(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for late, rows := time.Now().Add(time.Minute), 0; rows == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("nothing was stored")
		}
		if _, err := os.Stat(path); err != nil {
			continue
		}
		// There may be no table yet.
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM ride").Scan(&rows); err != nil {
			rows = 0
		}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
}

// Standard input is stored like a file, but load cannot read it twice to verify
// it.
func TestLoadStandardInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	status, stdout, stderr := try(t.Context(), load, strings.NewReader(rows), "--db", path, "--source", "piped", "-")
	if status != 0 || !strings.Contains(stdout, "1 stored, 0 already there, 1 rejected") || !strings.Contains(stderr, "not proved") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr = try(t.Context(), verify, strings.NewReader(rows), "--db", path, "--source", "piped", "-")
	if status != 0 || !strings.Contains(stdout, "proved: ") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

// promptly fails if what should end within two seconds takes longer five times. On a
// busy machine it now and then does.
func promptly(t *testing.T, experiment func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		took = append(took, experiment())
		if took[len(took)-1] <= 2*time.Second {
			return
		}
	}
	t.Errorf("it took %v to end: it waits for the lock", took)
}

// endLocked runs a command, locks its database between two rows, and ends the
// command as Ctrl-C does. took is how long it went on.
func endLocked(t *testing.T, path string, command cli.Func, stdin io.Reader, send func(row string), args ...string) (status int, stderr string, took time.Duration) {
	t.Helper()
	defer func(t time.Duration) { busyTimeout = t }(busyTimeout)
	busyTimeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		status, _, stderr = try(ctx, command, stdin, append(args, "--db", path)...)
	}()
	send("2022-01-01 03:00:00,1,1\n")
	lock(t, path)
	waitWriting(t, false)
	send("2022-01-01 04:00:00,1,2\n")
	waitWriting(t, true)
	start := time.Now()
	cancel()
	<-ended
	return status, stderr, time.Since(start)
}

// waitWriting waits until a goroutine is in store.DB.Write, or none is. Nothing else shows
// that a command in this process has taken a row while its database is locked.
func waitWriting(t *testing.T, want bool) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for late := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		n := runtime.Stack(stacks, true)
		if bytes.Contains(stacks[:n], []byte("store.(*DB).Write(")) == want {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("writing is not %t:\n%s", want, stacks[:n])
		}
	}
}

// A locked database does not keep a command from ending. It says that rows are
// not stored.
func TestLoadInterruptedWhileLocked(t *testing.T) {
	promptly(t, func() time.Duration { return loadInterrupted(t) })
}

func loadInterrupted(t *testing.T) time.Duration {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write := func(text string) {
		if _, err := io.WriteString(w, text); err != nil {
			t.Error(err)
		}
	}
	write("transit_timestamp,station_complex_id,ridership\n")
	send := func(row string) {
		write(row)
		if strings.Contains(row, " 04:") {
			w.Close()
		}
	}
	status, stderr, took := endLocked(t, filepath.Join(t.TempDir(), "rides.db"), load, r, send, "--source", "piped", "-")
	if status != 1 || !strings.Contains(stderr, "not stored") || !strings.Contains(stderr, "consumer: interrupted") {
		t.Errorf("status %d: %s", status, stderr)
	}
	return took
}

func TestRunInterruptedWhileLocked(t *testing.T) {
	promptly(t, func() time.Duration { return runInterrupted(t) })
}

func runInterrupted(t *testing.T) time.Duration {
	b := natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return stream.Ensure(ctx, nc, 64<<20, 1) })
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	line := 1
	send := func(row string) {
		line++
		m := nats.NewMsg(stream.Subject("rides"))
		m.Header.Set("Turnstile-Source", "rides")
		m.Header.Set("Turnstile-Line", strconv.Itoa(line))
		m.Header.Set("Turnstile-Columns", "transit_timestamp,station_complex_id,ridership")
		m.Data = []byte(row)
		if err := nc.PublishMsg(m); err != nil {
			t.Error(err)
		}
	}
	status, stderr, took := endLocked(t, filepath.Join(t.TempDir(), "rides.db"), run, nil, send, "--server", b.URL())
	if status != 0 || !strings.Contains(stderr, "is not stored, and stays in the queue") {
		t.Errorf("status %d: %s", status, stderr)
	}
	return took
}

// An idle input does not keep a command from ending.
func TestInterruptedWhileInputIsIdle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	if status, _, stderr := try(t.Context(), load, nil, "--db", path, "../data/sample_split.csv"); status != 0 {
		t.Fatal(stderr)
	}
	for name, command := range map[string]cli.Func{"load": load, "verify": verify} {
		for start, text := range map[string]string{
			"no header":  "",
			"no row":     "transit_timestamp,station_complex_id,ridership\n",
			"half a row": "transit_timestamp,station_complex_id,ridership\n2022-01-01 03:00:00,1,1\n2022-01-01",
		} {
			t.Run(name+" with "+start, func(t *testing.T) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				if _, err := io.WriteString(w, text); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(200*time.Millisecond, cancel) // nothing shows that the command is blocked
				status, _, stderr := try(ctx, command, r, "--db", path, "--source", "piped", "-")
				if status != 1 || !strings.Contains(stderr, "consumer: interrupted") {
					t.Errorf("status %d: %s", status, stderr)
				}
			})
		}
	}
}

// The list of rejects is one JSON document, however many there are.
func TestRejectsJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	list := func(input string) (lines []int64) {
		t.Helper()
		if status, _, stderr := try(t.Context(), load, strings.NewReader(input), "--db", path, "--source", "piped", "-"); status != 0 {
			t.Fatalf("load: status %d\n%s", status, stderr)
		}
		status, stdout, stderr := try(t.Context(), rejects, nil, "--db", path, "--format", "json")
		var document struct {
			Rejects []struct {
				Line     int64
				LastLine int64 `json:"last_line"`
				Record   string
			}
		}
		if err := json.Unmarshal([]byte(stdout), &document); status != 0 || err != nil || document.Rejects == nil {
			t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, []byte(stdout), "", "  "); err != nil || indented.String() != stdout {
			t.Errorf("not indented as other documents are:\n%s", stdout)
		}
		for _, r := range document.Rejects {
			for line := r.Line; line <= r.LastLine; line++ {
				lines = append(lines, line)
			}
		}
		return lines
	}
	header, row := rows[:strings.Index(rows, "\n")+1], strings.Split(rows, "\n")[1]+"\n"
	if lines := list(header + row); len(lines) != 0 {
		t.Errorf("rejects at lines %v, want none", lines)
	}
	if lines := list(header + row + "<&>\n<&>\nx\n"); !slices.Equal(lines, []int64{3, 4, 5}) {
		t.Errorf("rejects at lines %v, want 3 to 5", lines)
	}
}

// heapMeter discards what is written to it and keeps the largest heap.
type heapMeter struct {
	largest uint64
	writes  int
}

func (m *heapMeter) Write(p []byte) (int, error) {
	if m.writes++; m.writes%64 != 1 { // reading the statistics takes time
		return len(p), nil
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.largest = max(m.largest, stats.HeapAlloc)
	return len(p), nil
}

// The rejects are read one by one: all of them may not fit the memory.
func TestRejectsJSONMemory(t *testing.T) {
	const records, size = 300, 60_000
	path := filepath.Join(t.TempDir(), "rides.db")
	input := strings.Builder{}
	input.WriteString("transit_timestamp,station_complex_id,ridership\n")
	for n := range records {
		fmt.Fprintf(&input, "%d%s\n", n, strings.Repeat("x", size))
	}
	if status, _, stderr := try(t.Context(), load, strings.NewReader(input.String()), "--db", path, "--source", "piped", "-"); status != 0 {
		t.Fatalf("load: status %d\n%s", status, stderr)
	}
	input.Reset()
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // the heap is then little more than what is in use
	runtime.GC()
	var meter heapMeter
	if _, err := meter.Write(nil); err != nil {
		t.Fatal(err)
	}
	before := meter.largest
	if err := rejects(t.Context(), []string{"--db", path, "--format", "json"}, cli.Env{Stdout: &meter}); err != nil {
		t.Fatal(err)
	}
	if grown := meter.largest - before; grown > records*size/2 {
		t.Errorf("the heap grew by %d bytes, for %d bytes of rejects", grown, records*size)
	}
}

// A file of rejects only is refused, because it is probably not the file that
// was meant.
func TestLoadRefusesRejectsOnly(t *testing.T) {
	path, file := filepath.Join(t.TempDir(), "rides.db"), filepath.Join(t.TempDir(), "rejects.csv")
	text := "transit_timestamp;station_complex_id;ridership\n" + strings.Repeat("2022-01-01 03:00:00;1;many\n", 1000) + "2022-01-01 03:00:00;1;1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := try(t.Context(), load, nil, "--db", path, file)
	if status != 1 || !strings.Contains(stderr, `1000 like line 2 (ridership is "many"`) || !strings.Contains(stderr, "hint: correct the file, or store the rows as rejects: --keep-going") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, stdout, stderr := try(t.Context(), load, nil, "--db", path, "--keep-going", "--delimiter", ";", file); status != 0 || !strings.Contains(stdout, "1 stored, 0 already there, 1,000 rejected") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

// What a record has can't control the terminal: escape sequences, the C1 controls,
// and marks that turn text around are escaped.
func TestPrintable(t *testing.T) {
	for record, want := range map[string]string{
		"a,445,5\r\n":            "a,445,5",
		"Sub\u00fcrg 5\n":        "Sub\u00fcrg 5",
		"\x1b[2Ja":               `"\x1b[2Ja"`,
		"\u009b2Ja":              `"\u009b2Ja"`,
		"\u202ea":                `"\u202ea"`,
		"\xff":                   `"\xff"`,
		strings.Repeat("x", 200): strings.Repeat("x", 160) + "... (200 bytes)",
	} {
		if got := printable([]byte(record)); got != want {
			t.Errorf("%q: %s, want %s", record, got, want)
		}
	}
}

// The hints about an address hold for consumer --http and for consumer page.
func TestAddressHints(t *testing.T) {
	for _, args := range [][]string{{"--http", "foo"}, {"--http", "0.0.0.0:0"}} {
		status, _, stderr := try(t.Context(), run, nil, append(args, "--db", filepath.Join(t.TempDir(), "a.db"))...)
		if status != 1 || !strings.Contains(stderr, "consumer: hint: ") || strings.Contains(stderr, "page") || strings.Contains(stderr, "8091") {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
}

// An interruption is how a consumer ends, unless it was to drain the queue first.
func TestInterruptedStatus(t *testing.T) {
	t.Setenv("NATS_URL", "nats://127.0.0.1:1") // no broker
	for args, want := range map[string]int{"": 0, "--until-drained": 1} {
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, interrupt)
		status, stdout, stderr := try(ctx, run, nil, append(strings.Fields(args), "--format", "json", "--db", filepath.Join(t.TempDir(), "a.db"))...)
		if status != want || !strings.Contains(stdout, `"interrupted": true`) || strings.Contains(stderr, "consumer: interrupted\n") != (want == 1) {
			t.Errorf("%q: status %d, want %d: %s%s", args, status, want, stdout, stderr)
		}
	}
}
