package natsd

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func config(t *testing.T) Config {
	t.Helper()
	return Config{
		Listen: "127.0.0.1:0", Monitor: "127.0.0.1:0", Store: filepath.Join(t.TempDir(), "new", "store"), MaxStore: 1 << 30,
		Log: slog.New(slog.DiscardHandler),
	}
}

func running(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// storeMessage publishes a message and returns the number of stored messages.
func storeMessage(t *testing.T, s *Server) uint64 {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func TestStoreOutlivesTheServer(t *testing.T) {
	c := config(t)
	for want := range uint64(3) {
		s, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := storeMessage(t, s); got != want+1 {
			t.Errorf("%d messages, want %d", got, want+1)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("stopped twice: %v", err)
		}
	}
}

func TestStoreInUse(t *testing.T) {
	c := config(t)
	s := running(t, c)
	_, err := Start(c)
	if _, ok := errors.AsType[*StoreError](err); !ok || !errors.Is(err, ErrStoreInUse) {
		t.Fatalf("got %v", err)
	}
	runtime.GC() // would release a lock that is no longer reachable
	if _, err := Start(c); !errors.Is(err, ErrStoreInUse) {
		t.Errorf("after a collection: %v", err)
	}
	storeMessage(t, s) // the first server still works
}

func TestStoreNotWritable(t *testing.T) {
	c := config(t)
	c.Store = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(c.Store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := Start(c)
	if e, ok := errors.AsType[*StoreError](err); !ok || e.Store != c.Store {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > readyTimeout {
		t.Errorf("the error took %s", took)
	}
	if err := checkWritable(filepath.Join(t.TempDir(), "absent"), 0); err == nil {
		t.Error("an absent directory is writable")
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, set := range map[string]func(*Config){
		"clients": func(c *Config) { c.Listen = l.Addr().String() },
		"monitor": func(c *Config) { c.Monitor = l.Addr().String() },
	} {
		c := config(t)
		set(&c)
		start := time.Now()
		_, err := Start(c)
		e, ok := errors.AsType[*ListenError](err)
		if !ok || e.Address != l.Addr().String() || !e.InUse() {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(start); took > readyTimeout {
			t.Errorf("%s: the error took %s", name, took)
		}
	}
}

// TestFatalError takes the port after the check of the addresses.
func TestFatalError(t *testing.T) {
	c := config(t)
	o, err := c.setup()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.Options.Port = l.Addr().(*net.TCPAddr).Port
	if _, err := start(o, c); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestBeyondLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "127.9.9.9:0": true,
		"0.0.0.0:0": false, "[::]:0": false, "192.0.2.1:0": false, "example.com:0": false,
	} {
		host, _, err := net.SplitHostPort(address)
		if err != nil || isLoopback(host) != want {
			t.Errorf("%s: loopback is %v, want %v", address, isLoopback(host), want)
		}
	}
	c := config(t)
	c.Monitor = "0.0.0.0:0"
	if _, err := Start(c); !errors.Is(err, ErrInsecure) {
		t.Errorf("got %v", err)
	}
	c.Insecure = true
	if s := running(t, c); !strings.HasPrefix(s.MonitorURL(), "http://127.0.0.1:") {
		t.Errorf("monitor at %s, want a loopback address", s.MonitorURL())
	}
}

func TestInvalidAddress(t *testing.T) {
	for _, address := range []string{"4222", "127.0.0.1:port", "127.0.0.1"} {
		c := config(t)
		c.Listen = address
		if _, err := Start(c); err == nil {
			t.Errorf("%s: accepted", address)
		} else if _, ok := errors.AsType[*ListenError](err); !ok {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// A syncBuffer collects a log. It is safe for concurrent use.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
