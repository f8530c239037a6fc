// Package natsdtest starts a broker in the test's process.
package natsdtest

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/natsd"
)

// A Broker is a NATS server that can be stopped and started again at the same
// address with the same store.
type Broker struct {
	*natsd.Server
	config natsd.Config
	ensure Ensure
}

// Ensure makes the stream of a started broker. The caller gives it because the
// tests of package stream start brokers, too, and this package can't import it.
type Ensure func(context.Context, *nats.Conn) error

// Start starts a broker on a free port, and stops it when the test ends. Each
// change is made to the configuration before the start.
func Start(t testing.TB, ensure Ensure, changes ...func(*natsd.Config)) *Broker {
	t.Helper()
	b := &Broker{ensure: ensure, config: natsd.Config{
		Listen: "127.0.0.1:0", Store: t.TempDir(), MaxStore: 1 << 30, Sync: time.Minute, Log: slog.New(slog.DiscardHandler),
	}}
	for _, change := range changes {
		change(&b.config)
	}
	b.Restart(t)
	t.Cleanup(func() { b.Shutdown(t) })
	u, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	b.config.Listen = u.Host
	return b
}

// Restart starts a broker that was stopped.
func (b *Broker) Restart(t testing.TB) {
	t.Helper()
	var err error
	if b.Server, err = natsd.Start(b.config); err != nil {
		t.Fatal(err)
	}
	nc, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the library's default is 5 s
	defer cancel()
	if err := b.ensure(ctx, nc); err != nil {
		t.Fatal(err)
	}
}

// Shutdown stops the broker. A second call does nothing.
func (b *Broker) Shutdown(t testing.TB) {
	t.Helper()
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
}
