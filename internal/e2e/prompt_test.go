package e2e

// What takes a few seconds at most, as README and ARCHITECTURE say. On a busy machine
// it now and then takes longer, so an experiment is repeated until it keeps the promise.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/natsd/natsdtest"
	"turnstile/internal/stream"
)

// within fails if an experiment takes longer than promised ten times.
func within(t *testing.T, promised time.Duration, experiment func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 10 {
		took = append(took, experiment())
		if took[len(took)-1] <= promised {
			t.Logf("it took %v", took)
			return
		}
	}
	t.Errorf("it took %v, want %v or less", took, promised)
}

// promptBroker starts a broker with a stream of so many bytes, and returns its address.
func promptBroker(t *testing.T, maxBytes int64) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: processes are stopped by signals, and Windows has none")
	}
	return natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return stream.Ensure(ctx, nc, maxBytes, 1) }).URL()
}

// Ctrl-C ends each command in each state.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	sample, err := filepath.Abs(filepath.Join(root, "data", "sample.csv"))
	if err != nil {
		t.Fatal(err)
	}
	const quick, far = 2 * time.Second, 3 * time.Second
	for name, c := range map[string]struct {
		promised       time.Duration
		status         int
		ready, command string // ready: a line of its log
	}{
		"broker":        {quick, 0, "listening", "broker --listen 127.0.0.1:0 --monitor= --store queue"},
		"consumer":      {quick, 0, "msg=storing", "consumer --server URL"},
		"far consumer":  {far, 0, "msg=storing", "consumer --server FAR"},
		"producer":      {quick, 1, "line=", "producer --server URL " + sample},
		"no consumer":   {quick, 1, "no consumer sends confirmations", "producer --server URL --confirm stored --rate max " + sample},
		"full queue":    {quick, 1, "the queue is full", "producer --server URL --rate max --message-size 4KiB " + sample},
		"producer pipe": {quick, 1, "line=", "producer --server URL --source piped -"},
		"load pipe":     {quick, 1, "msg=rejected", "consumer load --source piped -"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, c.promised, func() time.Duration { return interrupted(t, c.ready, c.status, c.command) })
		})
	}
}

// interrupted returns how long a command takes to end after Ctrl-C.
func interrupted(t *testing.T, ready string, status int, command string) time.Duration {
	t.Helper()
	url := promptBroker(t, 64<<10)
	link, err := newLink(strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer link.close()
	link.setDelay(300 * time.Millisecond)
	stdin, idle, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer idle.Close()
	if _, err := idle.WriteString(witnessColumns + "\n02/01/2022 05:00:00 AM,445,5\nbad\n"); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(strings.NewReplacer("URL", url, "FAR", "nats://"+link.address()).Replace(command))
	p := startProcessFed(t, stdin, t.TempDir(), "log", words[0], words[1:]...)
	p.logged(t, ready)
	start := time.Now()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = p.Process.Kill() }) // it may have ended
	defer late.Stop()
	_ = p.Wait() // status 1 is an error
	took := time.Since(start)
	if got := p.ProcessState.ExitCode(); got != status {
		t.Fatalf("status %d after %v, want %d", got, took, status)
	}
	return took
}

// A standby takes over from a writer that is killed.
func TestTakeover(t *testing.T) {
	t.Parallel()
	url, dir := promptBroker(t, 1<<30), t.TempDir()
	started := 0
	start := func() *pageProcess {
		started++
		return startProcess(t, dir, fmt.Sprint(started), "consumer", "--server", url, "--db", "rides.db")
	}
	writer := start()
	writer.logged(t, "msg=storing")
	within(t, 2*time.Second, func() time.Duration {
		standby := start()
		standby.logged(t, "standing by")
		killed := time.Now()
		writer.kill()
		standby.logged(t, "took over")
		writer = standby
		return time.Since(killed)
	})
}
