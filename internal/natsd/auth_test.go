package natsd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func credentials(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := WriteCredentials(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func password(t *testing.T, dir, role string) string {
	t.Helper()
	text, err := os.ReadFile(clientFile(dir, role))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAuthenticationRequired checks that no client connects without the password
// of a role, and that the in-process user can't log in over the network.
func TestAuthenticationRequired(t *testing.T) {
	dir := credentials(t)
	s := startServer(t, func(c *Config) { c.Auth, c.Listen = filepath.Join(dir, "broker"), "0.0.0.0:0" })
	for name, option := range map[string]nats.Option{
		"no name":       nats.Name("test"),
		"no password":   nats.UserInfo("producer", ""),
		"other's":       nats.UserInfo("consumer", password(t, dir, "producer")),
		"a hash":        nats.UserInfo("producer", string(must(os.ReadFile(brokerFile(dir, "producer")))(t))),
		"the brokers'":  nats.UserInfo("cluster", string(must(os.ReadFile(brokerFile(dir, "cluster")))(t))),
		"broker itself": nats.UserInfo("broker", ""),
	} {
		if nc, err := dial(s, option); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		} else if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nc, err := s.Connect()
	if err != nil {
		t.Fatal("in process:", err)
	}
	nc.Close()
}

func must[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestPermissions checks what each role may and may not do.
func TestPermissions(t *testing.T) {
	dir := credentials(t)
	s := startServer(t, func(c *Config) { c.Auth = filepath.Join(dir, "broker") })
	if !s.Standalone() {
		t.Error("a broker with generated passwords can't create its stream")
	}
	for _, c := range []struct {
		role, act, subject string
		allowed            bool
	}{
		{"producer", "publish", "mta.ridership.a", true},
		{"producer", "publish", "mta.now.a", true},
		{"producer", "publish", "turnstile.confirm.x", false},
		{"producer", "publish", "$JS.API.STREAM.PURGE.MTA", false},
		{"producer", "publish", "$JS.API.STREAM.DELETE.MTA", false},
		{"producer", "publish", "$JS.API.CONSUMER.CREATE.MTA.writer", false},
		{"producer", "publish", "$JS.API.STREAM.MSG.GET.MTA", false},
		{"producer", "publish", "$JS.ACK.MTA.writer.1.1.1.1.0", false},
		{"producer", "subscribe", "mta.ridership.>", false},
		{"producer", "subscribe", "mta.now.>", false},
		{"producer", "subscribe", "_INBOX.>", false},
		{"producer", "subscribe", "turnstile.confirm.x.*", true},
		{"consumer", "publish", "mta.ridership.a", false},
		{"consumer", "publish", "$JS.API.STREAM.DELETE.MTA", false},
		{"consumer", "publish", "$JS.API.STREAM.UPDATE.MTA", false},
		{"consumer", "publish", "turnstile.confirm.x", true},
		{"consumer", "publish", "_INBOX.x.y", true},
		{"consumer", "publish", "_INBOX_producer.x", false},
		{"consumer", "subscribe", "_INBOX.>", false},
		{"consumer", "subscribe", "mta.now.>", true},
		{"consumer", "subscribe", "_INBOX_producer.>", false},
		{"producer", "publish", "turnstile.summary.producer", true},
		{"producer", "publish", "turnstile.summary.writer", false},
		{"producer", "subscribe", "turnstile.summary.viewer", true},
		{"producer", "subscribe", "turnstile.summary.*", false},
		{"consumer", "publish", "turnstile.summary.writer", true},
		{"consumer", "publish", "turnstile.summary.producer", false},
		{"consumer", "subscribe", "turnstile.summary.viewer", true},
		{"page", "publish", "turnstile.summary.viewer", true},
		{"page", "publish", "turnstile.summary.writer", false},
		{"page", "publish", "mta.ridership.a", false},
		{"page", "publish", "$JS.API.STREAM.INFO.MTA", true},
		{"page", "publish", "$JS.API.STREAM.PURGE.MTA", false},
		{"page", "publish", "$JS.API.CONSUMER.CREATE.MTA.page", false},
		{"page", "subscribe", "turnstile.summary.*", true},
		{"page", "subscribe", "mta.ridership.>", false},
		{"page", "subscribe", "turnstile.confirm.>", false},
		{"monitor", "publish", "$SYS.REQ.SERVER.PING", true},
		{"monitor", "publish", "$SYS.REQ.SERVER.X.RELOAD", false},
		{"monitor", "publish", "$SYS.REQ.SERVER.X.KICK", false},
		{"monitor", "publish", "mta.ridership.a", false},
		{"monitor", "subscribe", "mta.ridership.>", false},
		{"admin", "publish", "$JS.API.STREAM.DELETE.MTA", true},
	} {
		if got := isAllowed(t, s, dir, c.role, c.act, c.subject); got != c.allowed {
			t.Errorf("%s may %s %s: %v, want %v", c.role, c.act, c.subject, got, c.allowed)
		}
	}
}

// isAllowed reports whether a role may publish or subscribe to a subject.
func isAllowed(t *testing.T, s *Server, dir, role, act, subject string) bool {
	t.Helper()
	nc, err := dial(s, nats.UserInfo(role, password(t, dir, role)),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if act == "subscribe" {
		_, err = nc.SubscribeSync(subject)
	} else {
		err = nc.Publish(subject, []byte("x"))
	}
	if err := errors.Join(err, nc.FlushTimeout(patience)); err != nil {
		t.Fatal(err)
	}
	return nc.LastError() == nil // errors come before the answer to the flush
}

// TestReplySubjectNotExecuted publishes messages whose reply subjects are requests
// of the JetStream API. The server must not execute them.
func TestReplySubjectNotExecuted(t *testing.T) {
	dir := credentials(t)
	s := startServer(t, func(c *Config) { c.Auth = filepath.Join(dir, "broker") })
	own, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	js := must(jetstream.New(own))(t)
	queue := must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MTA", Subjects: []string{"mta.ridership.>"}}))(t)
	must(js.CreateConsumer(t.Context(), "MTA", jetstream.ConsumerConfig{Durable: "writer", AckPolicy: jetstream.AckExplicitPolicy}))(t)
	must(js.Publish(t.Context(), "mta.ridership.a", []byte("row")))(t)
	for _, role := range Roles() {
		if role == clusterRole {
			continue // not for clients
		}
		nc, err := dial(s, nats.UserInfo(role, password(t, dir, role)),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, reply := range []string{
			"$JS.API.STREAM.PURGE.MTA", "$JS.API.STREAM.DELETE.MTA", "$JS.API.STREAM.UPDATE.MTA",
			"$JS.API.CONSUMER.DELETE.MTA.writer", "$JS.API.STREAM.MSG.DELETE.MTA", "$JS.ACK.MTA.writer.1.1.1.1.0",
		} {
			for _, subject := range []string{"mta.ridership.a", "mta.now.a", "$JS.API.STREAM.INFO.MTA"} {
				if err := errors.Join(nc.PublishRequest(subject, reply, nil), nc.FlushTimeout(patience)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	must(js.Publish(t.Context(), "mta.ridership.a", []byte("row")))(t) // stored after all of them
	info := must(queue.Info(t.Context()))(t)
	if info.State.FirstSeq != 1 || info.State.NumDeleted != 0 || info.State.Msgs < 2 {
		t.Errorf("the stream has changed: %+v", info.State)
	}
	if c := must(queue.Consumer(t.Context(), "writer"))(t).CachedInfo(); c.AckFloor.Stream != 0 {
		t.Errorf("a message was acknowledged: %+v", c.AckFloor)
	}
}

// TestMonitorRole checks that the monitor role can read server statistics.
func TestMonitorRole(t *testing.T) {
	dir := credentials(t)
	s := startServer(t, func(c *Config) { c.Auth = filepath.Join(dir, "broker") })
	nc, err := dial(s, nats.UserInfo("monitor", password(t, dir, "monitor")))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	answer, err := nc.Request("$SYS.REQ.SERVER.PING.JSZ", nil, patience)
	if err != nil || !strings.Contains(string(answer.Data), `"config"`) {
		t.Errorf("%v: %v", answer, err)
	}
}

func TestWriteCredentialsTwice(t *testing.T) {
	dir := t.TempDir()
	made, err := WriteCredentials(dir)
	if err != nil || len(made) != len(Roles()) {
		t.Fatal(made, err)
	}
	before := password(t, dir, "producer")
	if len(before) < 26 || before == password(t, dir, "consumer") {
		t.Errorf("a password of %d characters, or the same for two roles", len(before))
	}
	for _, f := range []string{clientFile(dir, "producer"), brokerFile(dir, "producer"), brokerFile(dir, "cluster")} {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
			t.Errorf("%s: %v", f, info.Mode())
		}
		if f != clientFile(dir, "producer") && strings.Contains(string(must(os.ReadFile(f))(t)), before) {
			t.Errorf("%s holds the producer's password", f)
		}
	}
	if made, err := WriteCredentials(dir); err != nil || len(made) != 0 || password(t, dir, "producer") != before {
		t.Errorf("the second time: %v, %v", made, err)
	}
	// Killed between writing the two files: the password is newer than its hash.
	if err := os.Chmod(clientFile(dir, "producer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(clientFile(dir, "producer"), []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if made, err := WriteCredentials(dir); err != nil || fmt.Sprint(made) != "[producer]" {
		t.Errorf("after a crash: %v, %v", made, err)
	}
}

// TestPlainPasswords checks that a password file may hold plain text.
func TestPlainPasswords(t *testing.T) {
	plain := file(t, "producer", "open sesame\n")
	s := startServer(t, func(c *Config) { c.Auth = filepath.Dir(plain) })
	nc, err := dial(s, nats.UserInfo("producer", "open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
