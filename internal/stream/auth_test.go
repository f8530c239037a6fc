package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/natsd"
	"turnstile/internal/natsd/natsdtest"
)

// fortress is a broker that asks for passwords, and the passwords' folder.
func fortress(t *testing.T, tls natsd.TLS) (b *natsdtest.Broker, credentials string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := natsd.WriteCredentials(dir); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, 64<<20, func(c *natsd.Config) { c.Auth, c.TLS = filepath.Join(dir, "broker"), tls })
	return b, dir
}

func login(b *natsdtest.Broker, credentials, user, role string) Config {
	c := Config{Servers: b.URL(), Role: role, User: user, Log: slog.New(slog.DiscardHandler)}
	if user != "" {
		c.PasswordFile = filepath.Join(credentials, user, "password")
	}
	return c
}

// Each role can do all its work, over TLS and with a certificate of its own.
func TestRolesSuffice(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	serverTLS := ca.certificate(t, "127.0.0.1")
	b, credentials := fortress(t, natsd.TLS{Cert: serverTLS.cert, Key: serverTLS.key, CA: other.file})
	ours := other.certificate(t, "")
	dial := func(role string) *Conn {
		config := login(b, credentials, role, role)
		config.CA, config.Cert, config.Key = ca.file, ours.cert, ours.key
		c, err := Connect(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.nc.Close() })
		return c
	}
	producer, consumer := dial("producer"), dial("consumer")
	r := reader(t, consumer, "db1")
	serve(t, r, func(*Delivery) []byte { return stored(1) })
	p := publisher(t, producer, PublisherOptions{Stored: true})
	publish(t, p, 2, 11)
	flush(t, p)
	drained(t, r)
	requested(t, producer, r)

	standby := dial("consumer")
	_, err := standby.Reader(t.Context(), ReaderOptions{Database: &testDatabase{id: "db1", path: "/db1"}})
	if _, ok := errors.AsType[*LiveCopyError](err); !ok {
		t.Errorf("a second reader: %v", err)
	}
	consumer.nc.Close()
	again, err := openFor(t, standby, &testDatabase{id: "db1", path: "/db1", mark: r.mark()}, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeReader(t, again) })
	if _, err := again.Drained(t.Context()); err != nil {
		t.Error(err)
	}
	until(t, "what is done is purged", func() bool {
		s, err := standby.lookUpStream(t.Context(), apiTimeout)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
	for _, c := range []*Conn{producer, standby} {
		if err := context.Cause(c.broken); err != nil {
			t.Error(err)
		}
	}
}

// requested sends a request, and waits for its answer.
func requested(t *testing.T, producer *Conn, r *Reader) {
	t.Helper()
	requests, err := r.Requests()
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		d, err := requests.Next(t.Context())
		if err == nil {
			err = d.Confirm(stored(1))
		}
		answered <- err
	}()
	requester, err := producer.Requester()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a request is answered", func() bool {
		o, err := requester.Store(t.Context(), chunk(2))
		if err != nil && !errors.Is(err, ErrNoConsumer) { // it may still be on its way to be one
			t.Fatal(err)
		}
		return o.Stored == 1
	})
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// A client logs in again after its password was changed, and with the last known one
// while the file can't be read.
func TestChangedPassword(t *testing.T) {
	t.Parallel()
	b, credentials := fortress(t, natsd.TLS{})
	log := &lines{}
	config := login(b, credentials, "producer", "producer")
	config.Log = slog.New(slog.NewTextHandler(log, nil))
	c, err := Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.nc.Close() })
	restarted := func(what string) {
		t.Helper()
		before := c.Reconnects()
		b.Shutdown(t)
		b.Restart(t)
		until(t, what, func() bool { return c.Reconnects() > before && c.Connected() || c.Err() != nil })
		if err := c.Err(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	hash := filepath.Join(credentials, "broker", "producer")
	if err := errors.Join(os.Remove(config.PasswordFile), os.Remove(hash)); err != nil {
		t.Fatal(err)
	}
	if _, err := natsd.WriteCredentials(credentials); err != nil {
		t.Fatal(err)
	}
	restarted("a login with the new password")
	if err := os.Remove(config.PasswordFile); err != nil {
		t.Fatal(err)
	}
	restarted("a login with the last known password")
	if log.count("using the last known password") == 0 {
		t.Error("an unreadable password file is not logged")
	}
}

// What is wrong with a login or a certificate is said at once, with what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	right, elsewhere := ca.certificate(t, "127.0.0.1"), ca.certificate(t, "example.org")
	plain, credentials := fortress(t, natsd.TLS{})
	secured, credentials2 := fortress(t, natsd.TLS{Cert: right.cert, Key: right.key})
	misnamed, _ := fortress(t, natsd.TLS{Cert: elsewhere.cert, Key: elsewhere.key})
	mutual, _ := fortress(t, natsd.TLS{Cert: right.cert, Key: right.key, CA: ca.file})
	stranger := other.certificate(t, "")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		broker     *natsdtest.Broker
		user, role string
		change     func(*Config)
		text       string
		kind       any // of kindOf
	}{
		"no user":             {plain, "", "producer", nil, "requires authentication", "login "},
		"wrong password":      {plain, "producer", "producer", func(c *Config) { c.Password, c.PasswordFile = "guess", "" }, `rejects user "producer"`, "login producer"},
		"unknown user":        {plain, "mallory", "producer", func(c *Config) { c.Password, c.PasswordFile = "guess", "" }, `rejects user "mallory"`, "login mallory"},
		"no password file":    {plain, "mallory", "producer", nil, "no such file", "password"},
		"empty password file": {plain, "producer", "producer", func(c *Config) { c.PasswordFile = empty }, "is empty", "password"},
		"two passwords":       {plain, "producer", "producer", func(c *Config) { c.Password = "x" }, "both set", "password"},
		"password, no user":   {plain, "", "producer", func(c *Config) { c.Password = "x" }, "no user", "password"},
		"the wrong role":      {plain, "producer", "consumer", nil, `permission denied: user "producer" may not act as a consumer`, "role consumer"},
		"the other way round": {plain, "consumer", "producer", nil, `permission denied: user "consumer" may not act as a producer`, "role producer"},
		"a monitor":           {plain, "monitor", "consumer", nil, "permission denied", "role consumer"},
		"TLS against plain":   {plain, "producer", "producer", func(c *Config) { c.CA = ca.file }, "does not use TLS", NoServerTLS},
		"plain against TLS":   {secured, "", "producer", nil, "certificate signed by unknown authority", UnknownServerAuthority},
		"wrong authority":     {secured, "", "producer", func(c *Config) { c.CA = other.file }, "certificate signed by unknown authority", UnknownServerAuthority},
		"no such authority":   {secured, "", "producer", func(c *Config) { c.CA = "/none" }, "no such file", nil},
		"a key as authority":  {secured, "", "producer", func(c *Config) { c.CA = right.key }, "holds no certificate", BadAuthority},
		"another name":        {misnamed, "", "producer", func(c *Config) { c.CA = ca.file }, "127.0.0.1", WrongServerName},
		"no certificate":      {mutual, "", "producer", func(c *Config) { c.CA = ca.file }, "TLS connection to", ClientRejected},
		"wrong certificate":   {mutual, "", "producer", func(c *Config) { c.CA, c.Cert, c.Key = ca.file, stranger.cert, stranger.key }, "TLS connection to", ClientRejected},
		"cert without key":    {mutual, "", "producer", func(c *Config) { c.CA, c.Cert = ca.file, stranger.cert }, "TLS connection to", BadClientCertificate},
		"TLS, wrong password": {secured, "producer", "producer", func(c *Config) { c.CA = ca.file }, `rejects user "producer"`, "login producer"},
	} {
		t.Run(name, func(t *testing.T) {
			config := login(c.broker, credentials, c.user, c.role)
			if c.change != nil {
				c.change(&config)
			}
			start := time.Now()
			err := work(t, config)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("%v, want %q", err, c.text)
			}
			if kind := kindOf(err); kind != c.kind {
				t.Errorf("%v: %v, want %v", err, kind, c.kind)
			}
			if took := time.Since(start); took > patience/4 {
				t.Errorf("it took %s to say so", took)
			}
		})
	}
	config := login(secured, credentials2, "producer", "producer")
	config.CA = ca.file
	if err := work(t, config); err != nil {
		t.Error("with all right:", err)
	}
}

// work is the least that a role does.
func work(t *testing.T, config Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := Connect(ctx, config)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	_, err = c.Stream(ctx)
	return err
}

// A broker that is too slow for a TLS handshake rejects nobody, and is tried again.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certificate := ca.certificate(t, "127.0.0.1")
	b, credentials := fortress(t, natsd.TLS{Cert: certificate.cert, Key: certificate.key})
	x := startProxy(t, b)
	x.delay.Store(int64(100 * time.Millisecond)) // it greets in time, and shakes hands too late
	config := login(b, credentials, "producer", "producer")
	config.Servers, config.CA = x.url, ca.file
	config.Options = []nats.Option{nats.Timeout(250 * time.Millisecond)}
	time.AfterFunc(firstConnectTimeout+time.Second, func() { x.delay.Store(0) })
	if err := work(t, config); err != nil {
		t.Error(err)
	}
}

// kindOf returns what a hint depends on: the type of an error and its field.
func kindOf(err error) any {
	if e, ok := errors.AsType[*TLSError](err); ok {
		return e.Problem
	}
	if e, ok := errors.AsType[*RightsError](err); ok {
		return "role " + e.Role
	}
	if e, ok := errors.AsType[*LoginError](err); ok {
		return "login " + e.User
	}
	if _, ok := errors.AsType[*PasswordError](err); ok {
		return "password"
	}
	return nil
}

type authority struct {
	file string // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type pair struct{ cert, key string }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der := must(x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key))(t)
	a.file = write(t, t.TempDir(), "ca.pem", "CERTIFICATE", der)
	return a
}

// certificate makes one for a host, or for a client where there is none.
func (a *authority) certificate(t *testing.T, host string) pair {
	t.Helper()
	key, c := newKey(t), &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else if host != "" {
		c.DNSNames = []string{host}
	}
	dir := t.TempDir()
	return pair{
		write(t, dir, "cert.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key))(t)),
		write(t, dir, "key.pem", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))(t)),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
}

func write(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A sender chooses the reply subject of its request. If the broker refuses it, the
// consumer goes on.
func TestRefusedAnswerDoesNotEndTheConnection(t *testing.T) {
	b, credentials := fortress(t, natsd.TLS{})
	log := &lines{}
	config := login(b, credentials, "producer", "producer") // may not publish to an inbox
	config.Log = slog.New(slog.NewTextHandler(log, nil))
	c, err := Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.nc.Close() })
	d := &Delivery{conn: c, confirmTo: "_INBOX.someone.x"}
	if err := errors.Join(d.Confirm([]byte("{}")), c.nc.FlushTimeout(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	until(t, "a warning", func() bool { return log.count("refuses its reply subject") == 1 || c.Err() != nil })
	if err := c.Err(); err != nil {
		t.Errorf("the connection ended: %v", err)
	}
}
