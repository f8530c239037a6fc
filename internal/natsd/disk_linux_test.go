package natsd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestDiskFull fills the disk of a running server. Every acknowledged message
// survives, and the health check returns the cause. The server stores messages
// again once there is room.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "size=24m")
	var log syncBuffer
	c := config(t)
	c.Store, c.Log = filepath.Join(disk, "store"), slog.New(slog.NewTextHandler(&log, nil))
	s := running(t, c)
	monitor := strings.TrimPrefix(s.MonitorURL(), "http://")
	nc := must(dial(s, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)))(t)
	t.Cleanup(nc.Close)
	js := must(jetstream.New(nc))(t)
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Supervise(ctx) }()
	t.Cleanup(func() { // before the server is stopped
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast, 16<<20)
	acked := 0
	for n := 0; !strings.Contains(log.String(), "disk write failed"); n++ { // a slow server answers late, too
		if n > 1000 {
			t.Fatal("the disk does not fill")
		}
		if publish(t, js) == nil {
			acked++
		}
	}
	if err := publish(t, js); err == nil {
		t.Error("a full disk takes a message")
	}
	if err := CheckHealth(t.Context(), monitor); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("health of a full disk: %v", err)
	}
	if got := log.String(); !strings.Contains(got, "no space left") {
		t.Errorf("the log lacks the cause:\n%s", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for err := publish(t, js); err != nil; err = publish(t, js) {
		if time.Now().After(deadline) {
			t.Fatalf("no message is stored after there is room: %v\n%s", err, log.String())
		}
	}
	acked++
	queue := must(js.Stream(t.Context(), "S"))(t)
	if n := queue.CachedInfo().State.Msgs; n < uint64(acked) || queue.CachedInfo().State.FirstSeq != 1 {
		t.Errorf("%d messages, %d were acknowledged", n, acked)
	}
	if err := CheckHealth(t.Context(), monitor); err != nil {
		t.Error(err)
	}
}

func publish(t *testing.T, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := js.Publish(ctx, "s", make([]byte, 100_000))
	return err
}

// smallDisk mounts a tmpfs of limited size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, size)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("SKIPPED: only root can mount a small disk")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func fill(t *testing.T, file string, size int) {
	t.Helper()
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
}
