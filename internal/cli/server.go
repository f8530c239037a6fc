package cli

// Flags and environment variables of the connection to the broker. The nats command
// has the same variables.

import (
	"log/slog"
	"os"

	"turnstile/internal/stream"
)

// A Server holds the address of the broker and the login.
type Server struct {
	URLs  string // one or more, comma-separated
	Creds string // a credentials file

	User, Password, PasswordFile string

	// PEM files: the authority that signs the server's certificate, the client's
	// certificate and its private key.
	CA, Cert, Key string
}

// ServerFlags adds --server and the TLS flags. It reads NATS_URL, NATS_CREDS,
// NATS_USER, NATS_PASSWORD, NATS_PASSWORD_FILE, NATS_CA, NATS_CERT and NATS_KEY.
// Passwords have no flag: other users can read a command line.
func (f *Flags) ServerFlags() *Server {
	s := &Server{
		Creds: os.Getenv("NATS_CREDS"), User: os.Getenv("NATS_USER"),
		Password: os.Getenv("NATS_PASSWORD"), PasswordFile: os.Getenv("NATS_PASSWORD_FILE"),
	}
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = localBroker
	}
	f.StringVar(&s.URLs, "server", url, "`URL` of the broker, or several separated by commas (NATS_URL)")
	f.StringVar(&s.CA, "tls-ca", os.Getenv("NATS_CA"), "authority that signed the broker's certificate, a PEM `FILE` (NATS_CA)")
	f.StringVar(&s.Cert, "tls-cert", os.Getenv("NATS_CERT"), "client certificate, if the broker requires one, a PEM `FILE` (NATS_CERT)")
	f.StringVar(&s.Key, "tls-key", os.Getenv("NATS_KEY"), "private key of the client certificate, a PEM `FILE` (NATS_KEY)")
	f.Advanced("tls-ca", "tls-cert", "tls-key")
	return s
}

// localBroker is where a broker listens that was started without flags.
const localBroker = "nats://127.0.0.1:4222"

// Config returns the configuration of a connection for a role: producer,
// consumer or admin. The name identifies the client in the broker's monitoring.
func (s *Server) Config(role, name string, log *slog.Logger) stream.Config {
	start := ""
	if s.URLs == localBroker {
		start = "start it: " + Invocation("broker")
	}
	return stream.Config{
		Servers: s.URLs, Start: start, Role: role, Name: name, Log: log,
		Creds: s.Creds, User: s.User, Password: s.Password, PasswordFile: s.PasswordFile,
		CA: s.CA, Cert: s.Cert, Key: s.Key,
	}
}
