package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

func TestClientCommand(t *testing.T) {
	const url = "nats://" + defaultListen
	start := cli.Invocation("producer")
	for _, c := range []struct {
		url    string
		config natsd.Config
		want   string
	}{
		{url, natsd.Config{}, start},
		{"nats://127.0.0.1:5000", natsd.Config{}, start + " --server nats://127.0.0.1:5000"},
		{
			"tls://127.0.0.1:4222",
			natsd.Config{Auth: "s/broker", TLS: natsd.TLS{Cert: "c", Key: "k"}},
			"NATS_USER=producer NATS_PASSWORD_FILE=s/producer/password " + start + " --server tls://127.0.0.1:4222 --tls-ca FILE",
		},
		{
			"tls://127.0.0.1:4222",
			natsd.Config{TLS: natsd.TLS{Cert: "c", Key: "k", CA: "a"}},
			start + " --server tls://127.0.0.1:4222 --tls-ca FILE --tls-cert FILE --tls-key FILE",
		},
	} {
		if got := clientCommand("producer", c.url, c.config); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// Clients know a broker that signed its certificate itself by that certificate.
func TestAuthority(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name, issuer string) string {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	own, signed := issue("broker", "broker"), issue("broker", "authority")
	for file, want := range map[string]string{own: own, signed: "FILE", "absent.pem": "FILE"} {
		if got := authority(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func TestCheckRoom(t *testing.T) {
	disk := map[string]string{"turnstile.limited-by": "disk"}
	for name, c := range map[string]struct {
		queue      natsd.Queue
		want, hint string
	}{
		"empty":               {natsd.Queue{MaxBytes: 8 << 20}, "", ""},
		"the smallest, empty": {natsd.Queue{MaxBytes: 900 << 10}, "", ""},
		"small, of rows":      {natsd.Queue{Messages: 2700, Bytes: 800 << 10, MaxBytes: 900 << 10}, "", ""},
		"small, of messages": {
			natsd.Queue{Messages: 4, Bytes: 780 << 10, MaxBytes: 900 << 10},
			"the queue is full: 4 messages, 780 KiB of 900 KiB", "--max-store",
		},
		"empty, no disk": {
			natsd.Queue{MaxBytes: 1, Metadata: disk},
			"the disk under the queue has no room for more rows: the queue holds 0 messages, 0 B", "free space",
		},
		"no limit":             {natsd.Queue{Messages: 1, Bytes: 1 << 40, MaxBytes: -1}, "", ""},
		"room for one message": {natsd.Queue{Messages: 1, Bytes: 7 << 20, MaxBytes: 8 << 20}, "", ""},
		"a byte less": {
			natsd.Queue{Messages: 1234, Bytes: 15<<20 + 1, MaxBytes: 16 << 20},
			"the queue is full: 1,234 messages, 15 MiB of 16 MiB", "--max-store",
		},
		"in a cluster": {
			natsd.Queue{Messages: 1234, Bytes: 8 << 20, MaxBytes: 8 << 20, Clustered: true},
			"the queue is full: 1,234 messages, 8.0 MiB of 8.0 MiB", "broker init --max-bytes",
		},
		"the disk": {
			natsd.Queue{Messages: 2, Bytes: 5 << 20, MaxBytes: 3 << 20, Metadata: disk},
			"the disk under the queue has no room for more rows: the queue holds 2 messages, 5.0 MiB", "free space",
		},
	} {
		err := checkRoom(c.queue)
		if got := errorText(err); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if e, ok := errors.AsType[*fullError](err); ok && !strings.Contains(hint(e), c.hint) {
			t.Errorf("%s: the hint is %s, want %s", name, hint(e), c.hint)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A broker that can't create the stream itself says what is in it all the same.
func TestQueueOfUsersInFile(t *testing.T) {
	var log strings.Builder
	q := newQueue(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
	s := withUsers(t)
	q.observe(s)
	if log.Len() > 0 {
		t.Errorf("without a stream: %s", &log)
	}
	publishAs(t, s, "a", "b")
	q.observe(s)
	q.stopped(s)
	for _, want := range []string{"msg=queue messages=1 bytes=", "producers=1 consumers=0", "msg=stopped store=" + s.Store() + " messages=1 bytes="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, &log)
		}
	}
	before := log.Len()
	q.reportFacts(s, natsd.Queue{Messages: 7}, time.Now())
	if log.Len() != before {
		t.Errorf("two lines within %s:\n%s", logEvery, &log)
	}
}

func withUsers(t *testing.T) *natsd.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.conf")
	if err := os.WriteFile(file, []byte("authorization { user: a, password: b }"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := natsd.Start(natsd.Config{
		File: file, Listen: "127.0.0.1:0", Store: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler),
	})
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

// publishAs creates the stream as a user of the server, and stores a message in it.
func publishAs(t *testing.T, s *natsd.Server, user, password string) {
	t.Helper()
	nc, err := nats.Connect(s.URL(), nats.UserInfo(user, password), nats.Name("turnstile producer x"), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := stream.Ensure(t.Context(), nc, 64<<20, 1); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), stream.Subject("x"), []byte("x")); err != nil {
		t.Fatal(err)
	}
}
