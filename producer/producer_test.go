package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"turnstile/internal/cli"
	"turnstile/internal/natsd/natsdtest"
	"turnstile/internal/stream"
)

// queue starts a broker and points the producer at it.
func queue(t *testing.T, maxBytes int64) *natsdtest.Broker {
	t.Helper()
	b := natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return stream.Ensure(ctx, nc, maxBytes, 1) })
	t.Setenv("NATS_URL", b.URL())
	return b
}

func write(t *testing.T, name string, rows int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var text strings.Builder
	text.WriteString(header)
	for i := range rows {
		fmt.Fprintf(&text, "2022-01-01 03:00:00,%d,1\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A safeBuffer can be read while a command writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	// onText is called for each write once there is a text.
	text   string
	onText func()
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.b.Write(p)
	if s.onText != nil && bytes.Contains(s.b.Bytes(), []byte(s.text)) {
		s.onText()
	}
	return n, err
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// try runs the command to its end.
func try(ctx context.Context, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	return tryLogging(ctx, &safeBuffer{}, stdin, args...)
}

func tryLogging(ctx context.Context, log *safeBuffer, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	var out bytes.Buffer
	env := cli.Env{Stdin: stdin, Stdout: &out, Stderr: log}
	status = cli.Run(ctx, "producer", run, args, env, hint)
	return status, out.String(), log.String()
}

// tryInterrupted runs the command, and interrupts it like Ctrl-C once its log has a
// text. It returns how long the command took to end, too.
func tryInterrupted(t *testing.T, text string, stdin io.Reader, args ...string) (status int, stdout, stderr string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var interrupted time.Time
	var once sync.Once
	log := &safeBuffer{text: text, onText: func() {
		once.Do(func() { interrupted = time.Now(); cancel() })
	}}
	status, stdout, stderr = tryLogging(ctx, log, stdin, args...)
	return status, stdout, stderr, time.Since(interrupted)
}

// queuedLines returns the lines of the queue, with how often each is there.
func queuedLines(t *testing.T, s *natsdtest.Broker) map[string]int {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.StreamInfo(stream.Name)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := js.GetMsg(stream.Name, seq)
		if errors.Is(err, nats.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rows := m.Data
		if m.Header.Get("Content-Encoding") == "snappy" {
			if rows, err = s2.Decode(nil, rows); err != nil {
				t.Fatal(err)
			}
		}
		for row := range strings.Lines(string(rows)) {
			found[row]++
		}
	}
	return found
}

func TestMistyped(t *testing.T) {
	path := write(t, "a.csv", 1)
	for _, args := range [][]string{
		{"--limit", "-3", path},
		{"--rate", "fast", path},
		{"--rate", "0/s", path},
		{"--rate", "-1/s", path},
		{"--rate", "10/d", path},
		{"--rate", "10/s", "--every", "1s", path},
		{"--every", "0s", path},
		{"--timeout", "-1s", path},
		{"--order", "size", path},
		{"--confirm", "maybe", path},
		{"--format", "xml", path},
		{"--message-size", "1MiB", path},
		{"--message-size", "0", path},
		{"--source", "x", path, path + "2"},
		{path, filepath.Join(filepath.Dir(path), ".", "a.csv")}, // one data set
	} {
		status, _, stderr := try(t.Context(), nil, args...)
		if status != 2 || !strings.Contains(stderr, "producer: hint: ") {
			t.Errorf("%q: status %d, want 2 and a hint: %s", args[:len(args)-1], status, stderr)
		}
	}
}

func TestFilesAreCheckedBeforeTheBroker(t *testing.T) {
	t.Setenv("NATS_URL", "nats://127.0.0.1:1") // no broker
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range [][]string{{bad}, {write(t, "good.csv", 1), bad}, {bad + "absent"}, nil} {
		if status, stdout, stderr := try(t.Context(), nil, files...); status != 1 || stdout != "" || stderr == "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", files, status, stdout, stderr)
		}
	}
}

func TestPace(t *testing.T) {
	for s, want := range map[string]float64{"10/s": 10, "600/m": 10, "36000/h": 10, "10": 10, "0.5/s": .5, "max": 0} {
		if got, err := parseRate(s); err != nil || got != (pace{rate: want}) {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "-1", "nan", "inf", "1e300", "1e-300", "1e-9/m", "5/d", "fast"} { // the time of a row must fit 64 bits
		if got, err := parseRate(s); err == nil {
			t.Errorf("%s: %v, want an error", s, got)
		}
	}
	if got, err := parseEvery(3 * time.Second); err != nil || got != (pace{rate: 1. / 3, single: true}) {
		t.Errorf("every 3s: %v, %v", got, err)
	}
}

func TestFullRate(t *testing.T) {
	s := queue(t, 64<<20)
	a, b := write(t, "a.csv", 3000), write(t, "b.csv", 10)
	status, stdout, stderr := try(t.Context(), nil, "--rate", "max", "--format", "json", a, b)
	if status != 0 {
		t.Fatal(stderr)
	}
	var r result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Rows != 3010 || r.Messages != 2 || r.Stored != nil || r.Interrupted || len(r.Files) != 2 || r.Files[1].Rows != 10 {
		t.Errorf("got %s", stdout)
	}
	for _, key := range []string{"rows", "messages", "blank", "seconds", "rows_per_second", "confirm", "stored", "already_there", "rejected", "interrupted", "files"} {
		if !strings.Contains(stdout, `"`+key+`"`) {
			t.Errorf("no %s in %s", key, stdout)
		}
	}
	if got := len(queuedLines(t, s)); got != 3000 { // the ten of b are as in a
		t.Errorf("%d rows in the queue", got)
	}
}

func TestLimitAcrossFiles(t *testing.T) {
	queue(t, 64<<20)
	a, b := write(t, "a.csv", 5), write(t, "b.csv", 5)
	_, stdout, _ := try(t.Context(), nil, "--rate", "max", "--limit", "7", a, b)
	if !strings.HasPrefix(stdout, "7 rows in 2 messages") {
		t.Errorf("got %s", stdout)
	}
}

// The resume hint of an interrupted producer leads to every row in the queue once.
func TestInterruptedAndGoneOn(t *testing.T) {
	s := queue(t, 64<<20)
	const rows = 2000 // a slow producer that catches up has not sent all of them yet
	path := write(t, "a.csv", rows)
	status, stdout, stderr, _ := tryInterrupted(t, "msg=queued", nil, "--rate", "100/s", "--compress=false", "--keep-going", "--format", "json", "--verbose", path)
	if status != 1 || !strings.Contains(stderr, "producer: interrupted") || !strings.Contains(stdout, `"interrupted": true`) {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	words := regexp.MustCompile(`hint: resume with: (?:go run \./|\S*/)?producer(?:\.test)? (.*)`).FindStringSubmatch(stderr)
	if words == nil {
		t.Fatalf("no resume hint:\n%s", stderr)
	}
	again := strings.Fields(strings.ReplaceAll(words[1], "100/s", "max"))
	status, _, stderr2 := try(t.Context(), nil, again...)
	if status != 0 {
		t.Fatalf("%q: %s", again, stderr2)
	}
	got := queuedLines(t, s)
	if len(got) != rows {
		t.Errorf("%d of %d rows are in the queue", len(got), rows)
	}
	// On a machine that stands still, what is not acknowledged in time is sent again.
	slow := strings.Contains(stderr, "some messages are not done") || strings.Contains(stderr+stderr2, "broker does not answer")
	for row, n := range got {
		if n != 1 && !slow {
			t.Errorf("%q is there %d times: it was acknowledged, and need not be sent again", row, n)
		}
	}
}

// The resume hint covers messages in flight.
func TestInterruptedWhileTheQueueIsFull(t *testing.T) {
	queue(t, 100<<10)
	path := write(t, "a.csv", 40_000)
	status, _, stderr, took := tryInterrupted(t, "the queue is full", nil, "--rate", "max", "--compress=false", "--message-size", "10KiB", path)
	if status != 1 || !regexp.MustCompile(`hint: resume with: .*--message-size 10KiB .*--from-line [1-9]\d* `).MatchString(stderr) {
		t.Errorf("status %d: %s", status, stderr)
	}
	if took > 10*time.Second {
		t.Errorf("ended after %s: it waits for room in the queue", took)
	}
	if m := regexp.MustCompile(`from-line (\d{5})`).FindString(stderr); m != "" {
		t.Errorf("%s, but the queue holds less than 10,000 rows", m)
	}
}

func tryTimeout(t *testing.T, timeout time.Duration, path string) (status int, stdout, stderr string) {
	t.Helper()
	return try(t.Context(), nil, "--rate", "max", "--confirm", "stored", "--timeout", timeout.String(), path)
}

func TestTimeout(t *testing.T) {
	queue(t, 64<<20)
	path := write(t, "a.csv", 5)
	timeout := 200 * time.Millisecond
	status, stdout, stderr := tryTimeout(t, timeout, path)
	for strings.Contains(stderr, "no broker with the queue") && timeout < time.Minute { // too slow to connect within it
		timeout *= 4
		status, stdout, stderr = tryTimeout(t, timeout, path)
	}
	if status != 1 || !strings.Contains(stderr, "no row was stored for "+timeout.String()) || !strings.Contains(stderr, "--from-line 2 ") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if !strings.HasPrefix(stdout, "0 rows") {
		t.Errorf("reported as stored: %s", stdout)
	}
	t.Setenv("NATS_URL", "nats://127.0.0.1:1")
	if status, _, stderr := try(t.Context(), nil, "--timeout", "200ms", path); status != 1 || !strings.Contains(stderr, "no broker") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// An idle pipe does not keep the producer from ending.
func TestInterruptedInsidePipe(t *testing.T) {
	queue(t, 64<<20)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.WriteString(w, header+"2022-01-01 03:00:00,1,1\n"); err != nil {
		t.Fatal(err)
	}
	status, _, stderr, _ := tryInterrupted(t, "msg=queued line=2", r, "--source", "piped", "-")
	if status != 1 || !strings.Contains(stderr, "interrupted") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// A row from a pipe is sent when it arrives.
func TestLivePipe(t *testing.T) {
	queue(t, 64<<20)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log safeBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--source", "live", "-"}, cli.Env{Stdin: r, Stdout: io.Discard, Stderr: &log})
	}()
	if _, err := io.WriteString(w, header+"2022-01-01 03:00:00,1,1\n"); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(time.Minute); !strings.Contains(log.String(), "msg=queued line=2"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			t.Error("the row waits for more to come")
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, cli.ErrInterrupted) {
		t.Error(err)
	}
}

// A file of rejects only is refused before a row is sent.
func TestRefusesRejectsOnly(t *testing.T) {
	b := queue(t, 64<<20)
	file := filepath.Join(t.TempDir(), "rejects.csv")
	text := strings.ReplaceAll(header, ",", "\t") + strings.Repeat("2022-01-01 03:00:00\t1\tmany\n", 1000)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := try(t.Context(), nil, "--rate", "max", file)
	if status != 1 || stdout != "" || !strings.Contains(stderr, "are all rejects: 1000 like line 2") || !strings.Contains(stderr, "--keep-going") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	if status, _, stderr := try(t.Context(), nil, "--rate", "max", "--keep-going", "--delimiter", "tab", file); status != 0 || queuedLines(t, b)["2022-01-01 03:00:00,1,many\n"] < 1000 {
		t.Errorf("status %d: %s", status, stderr)
	}
}
