package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// dial connects to a server, however slow the machine is.
func dial(s *Server, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(s.URL(), append(options, nats.Timeout(patience))...)
}

// startError returns the error of a server that can't start.
func startError(t *testing.T, change func(*Config)) error {
	t.Helper()
	c := Config{Listen: "127.0.0.1:0", Store: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler)}
	change(&c)
	s, err := Start(c)
	if err == nil {
		t.Fatal("the server started: ", s.URL(), s.Stop())
	}
	return err
}

// startServer starts a server and stops it after the test.
func startServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := Config{Listen: "127.0.0.1:0", Store: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler)}
	change(&c)
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

func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// isType reports whether err has type E.
func isType[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

func insecure(err error) bool { return errors.Is(err, ErrInsecure) }

func isNotStrict(err error) bool { return errors.Is(err, ErrNotStrict) }

func auth(want AuthProblem) func(error) bool {
	return func(err error) bool { e, ok := errors.AsType[*AuthError](err); return ok && e.Problem == want }
}

func TestWrongConfigs(t *testing.T) {
	plain := filepath.Dir(file(t, "producer", "open sesame"))
	users := file(t, "users.conf", "authorization { user: a, password: b }")
	cert := file(t, "cert.pem", "no certificate")
	for name, c := range map[string]struct {
		change func(*Config)
		text   string
		is     func(error) bool
	}{
		"no folder":        {func(c *Config) { c.Auth = "/none" }, "no such file", auth(NoPasswords)},
		"no passwords":     {func(c *Config) { c.Auth = t.TempDir() }, "has no password files", auth(NoPasswords)},
		"empty password":   {func(c *Config) { c.Auth = filepath.Dir(file(t, "producer", " \n")) }, "is empty", auth(BadPassword)},
		"too long":         {func(c *Config) { c.Auth = filepath.Dir(file(t, "producer", strings.Repeat("x", 73))) }, "72", auth(BadPassword)},
		"no role":          {func(c *Config) { c.Auth = filepath.Dir(file(t, "producr", "x")) }, "producr is not a role", auth(UnknownRole)},
		"users twice":      {func(c *Config) { c.Auth, c.File = plain, users }, "also defines users", auth(UsersInFile)},
		"no file":          {func(c *Config) { c.File = "/none.conf" }, "/none.conf", isType[*FileError]},
		"no configuration": {func(c *Config) { c.File = file(t, "a.conf", "listen: {{") }, "a.conf", isType[*FileError]},
		"unknown setting":  {func(c *Config) { c.File = file(t, "a.conf", "lisen: 1") }, "lisen", isType[*FileError]},
		"not strict":       {func(c *Config) { c.File = file(t, "a.conf", "jetstream { strict: false }") }, "strict: false", isNotStrict},
		"no key":           {func(c *Config) { c.TLS.Cert = cert }, "needs its private key", isType[*TLSError]},
		"no certificate":   {func(c *Config) { c.TLS = TLS{Cert: cert, Key: cert} }, "TLS", isType[*TLSError]},
		"open to all":      {func(c *Config) { c.Listen = "0.0.0.0:0" }, "0.0.0.0", insecure},
		"open by file":     {func(c *Config) { c.Listen, c.File = "", file(t, "a.conf", "listen: 0.0.0.0:-1") }, "0.0.0.0", insecure},
		"open by default":  {func(c *Config) { c.Listen, c.File = "", file(t, "a.conf", "max_payload: 1MB") }, "0.0.0.0:4222", insecure},
		"open brokers": {func(c *Config) {
			c.File = file(t, "a.conf", "cluster { name: c, listen: 0.0.0.0:-1 }\nauthorization { user: a, password: b }")
		}, "0.0.0.0", insecure},
		"open but for the system's account": {func(c *Config) {
			c.Listen = "0.0.0.0:0"
			c.File = file(t, "a.conf", "accounts { S { users: [ {user: a, password: b} ] } }\nsystem_account: S")
		}, "0.0.0.0", insecure},
	} {
		t.Run(name, func(t *testing.T) {
			err := startError(t, c.change)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %q", err, c.text)
			}
			if !c.is(err) {
				t.Errorf("%v has type %T", err, err)
			}
		})
	}
}

// TestMaxBuffered checks that the number of messages that wait for the disk is
// limited, and that the configuration file overrides the limit.
func TestMaxBuffered(t *testing.T) {
	for text, want := range map[string]int{"": maxBuffered, "jetstream { max_buffered_msgs: 7 }": 7} {
		c := config(t)
		c.File = file(t, "a.conf", text)
		if s, err := c.setup(); err != nil || s.StreamMaxBufferedMsgs != want {
			t.Errorf("%q: %+v, %v, want %d", text, s, err, want)
		}
	}
}

// TestConfigurationFile checks that a Config overrides the configuration file.
func TestConfigurationFile(t *testing.T) {
	store := t.TempDir()
	conf := file(t, "a.conf", fmt.Sprintf(`
server_name: "from-file"
listen: 0.0.0.0:-1
jetstream { store_dir: %q, max_file_store: 512MB, sync_interval: 2s }
authorization { user: a, password: b }
`, filepath.ToSlash(store)))
	s := startServer(t, func(c *Config) { *c = Config{File: conf, Sync: -1, Log: c.Log} })
	if s.MaxStore() != 512<<20 || s.ns.Name() != "from-file" || s.Store() != store || s.Standalone() || !s.EveryAddress() {
		t.Errorf("store %s of %d, name %s, standalone %v, at every address %v", s.Store(), s.MaxStore(), s.ns.Name(), s.Standalone(), s.EveryAddress())
	}
	if _, err := os.Stat(filepath.Join(store, "turnstile.lock")); err != nil {
		t.Error("the store of the configuration file is not locked:", err)
	}
	nc, err := dial(s, nats.UserInfo("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()

	s = startServer(t, func(c *Config) { c.File, c.Listen, c.MaxStore = conf, "127.0.0.1:0", 1<<30 })
	if s.EveryAddress() || s.MaxStore() != 1<<30 {
		t.Errorf("at %s, at every address %v, with %d bytes", s.URL(), s.EveryAddress(), s.MaxStore())
	}
}
