package cli

// The connection to the broker: its flags and environment variables, which are
// those of the nats command, and hints for its errors.

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

	CA, Cert, Key string // files: who signs the server's certificate; our own and its key
}

// ServerFlags adds --server and the flags of TLS; NATS_URL, NATS_CREDS,
// NATS_USER, NATS_PASSWORD, NATS_PASSWORD_FILE, NATS_CA, NATS_CERT and NATS_KEY
// are read here. A password has no flag: a command line is there for all to see.
func (f *Flags) ServerFlags() *Server {
	s := &Server{
		Creds: os.Getenv("NATS_CREDS"), User: os.Getenv("NATS_USER"),
		Password: os.Getenv("NATS_PASSWORD"), PasswordFile: os.Getenv("NATS_PASSWORD_FILE"),
	}
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = "nats://127.0.0.1:4222"
	}
	f.StringVar(&s.URLs, "server", url, "`URL` of the broker, or several with commas (NATS_URL)")
	f.StringVar(&s.CA, "tls-ca", os.Getenv("NATS_CA"), "who signs the broker's certificate, a PEM `FILE` (NATS_CA)")
	f.StringVar(&s.Cert, "tls-cert", os.Getenv("NATS_CERT"), "our certificate, if the broker wants one, a PEM `FILE` (NATS_CERT)")
	f.StringVar(&s.Key, "tls-key", os.Getenv("NATS_KEY"), "its key, a PEM `FILE` (NATS_KEY)")
	f.Advanced("tls-ca", "tls-cert", "tls-key")
	return s
}

// Config returns the configuration of a connection for a role: producer,
// consumer or admin. The name identifies the client in the broker's monitoring.
func (s *Server) Config(role, name string, log *slog.Logger) stream.Config {
	return stream.Config{
		Servers: s.URLs, Role: role, Name: name, Log: log,
		Creds: s.Creds, User: s.User, Password: s.Password, PasswordFile: s.PasswordFile,
		CA: s.CA, Cert: s.Cert, Key: s.Key,
	}
}

// ServerHint returns the hint for an error of a connection to the broker, or
// "". It names the flags and variables of [Flags.ServerFlags].
func ServerHint(err error) string {
	switch e := err.(type) {
	case *stream.ServerError:
		return "--server nats://127.0.0.1:4222, or tls://queue.example:4222"
	case *stream.LoginError:
		if e.User == "" {
			return "log in with NATS_USER and NATS_PASSWORD_FILE, or with NATS_CREDS"
		}
		return "NATS_PASSWORD_FILE names the file with the password of that user; broker credentials makes one for each role"
	case *stream.TLSError:
		return tlsHints[e.Problem]
	case *stream.RightsError:
		return "log in as a user with that role: NATS_USER=" + e.Role + " and its password, NATS_PASSWORD_FILE"
	case *stream.SettingError:
		return "if the stream belongs to another program, use another server; else delete it (nats stream rm " + stream.Name + ") and create it again: broker init"
	}
	return ""
}

var tlsHints = map[stream.TLSProblem]string{
	stream.BadClientCertificate:     "--tls-cert and --tls-key name a certificate and its private key, both PEM files",
	stream.ClientRejected:           "the broker may require a certificate signed by its --tls-ca: --tls-cert and --tls-key (NATS_CERT, NATS_KEY)",
	stream.NoServerTLS:              "leave out --tls-ca and --tls-cert (NATS_CA, NATS_CERT) and use nats://, not tls://; or start the broker with --tls-cert and --tls-key",
	stream.NotTLS:                   "the server at this address does not use TLS",
	stream.UnknownServerAuthority:   "--tls-ca FILE (NATS_CA) names the authority that signed the broker's certificate",
	stream.WrongServerName:          "the certificate is for other host names than the one in --server: use one of those, or sign a certificate for this one",
	stream.InvalidServerCertificate: "the broker needs another certificate: its --tls-cert and --tls-key",
}
