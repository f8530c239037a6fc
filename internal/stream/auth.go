package stream

// Authentication and TLS. These errors are permanent: a retry can't succeed.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// A LoginError reports that the broker rejects the login.
type LoginError struct {
	Server, User string
	Err          error
}

func (e *LoginError) Error() string {
	if e.User == "" {
		return fmt.Sprintf("the broker at %s requires authentication: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("the broker at %s rejects user %q: %v", e.Server, e.User, e.Err)
}

func (e *LoginError) Unwrap() error { return e.Err }

// A PasswordError reports that there is no password to log in with. No broker was asked.
type PasswordError struct{ Err error }

func (e *PasswordError) Error() string { return fmt.Sprintf("password of the user: %v", e.Err) }

// A TLSError reports that a TLS connection failed.
type TLSError struct {
	Server  string
	Problem TLSProblem
	Err     error
}

// A TLSProblem is the side and the kind of a TLS error.
type TLSProblem int

// The problems of a TLS connection.
const (
	BadClientCertificate     TLSProblem = iota + 1 // the client's certificate or key can't be loaded
	BadAuthority                                   // the file of the authority holds no certificate
	ClientRejected                                 // the broker rejects the client certificate, or requires one
	NoServerTLS                                    // the broker does not offer TLS
	NotTLS                                         // the server's answer is not TLS
	UnknownServerAuthority                         // the broker's certificate is signed by an unknown authority
	WrongServerName                                // the broker's certificate is for other host names
	InvalidServerCertificate                       // the broker's certificate has expired or is otherwise invalid
)

func (e *TLSError) Error() string {
	return fmt.Sprintf("TLS connection to %s: %v", e.Server, e.Err)
}

func (e *TLSError) Unwrap() error { return e.Err }

// authOptions returns the options for the login and for TLS.
func (c Config) authOptions() (o []nats.Option, err error) {
	switch {
	case c.Creds != "":
		o = append(o, nats.UserCredentials(c.Creds))
	case c.User != "":
		password, err := c.password()
		if err != nil {
			return nil, err
		}
		// The library asks at each connect, also after a password has changed.
		o = append(o, nats.UserInfoHandler(func() (string, string) {
			if latest, err := c.password(); err == nil {
				password = latest
			} else {
				c.Log.Warn("using the last known password", "error", err)
			}
			return c.User, password
		}))
	case c.Password+c.PasswordFile != "":
		return nil, &PasswordError{errors.New("a password is set, but no user")}
	}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, &TLSError{redacted(c.Servers), BadAuthority, fmt.Errorf("%s holds no certificate", c.CA)}
		}
		o = append(o, nats.RootCAs(c.CA))
	}
	if c.Cert != "" || c.Key != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return nil, &TLSError{redacted(c.Servers), BadClientCertificate, err}
		}
		o = append(o, nats.ClientCert(c.Cert, c.Key))
	}
	return o, nil
}

// password returns the password, read from PasswordFile if that is set.
func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	if c.Password != "" {
		return "", &PasswordError{errors.New("NATS_PASSWORD and NATS_PASSWORD_FILE are both set, want one")}
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", &PasswordError{err}
	}
	password := strings.TrimSpace(string(text))
	if password == "" {
		return "", &PasswordError{fmt.Errorf("%s is empty", c.PasswordFile)}
	}
	return password, nil
}

// maxTLSFailures is the number of consecutive TLS failures that count as a rejected
// client certificate. A broker that stops causes one. A broker that rejects the
// certificate may close the connection before its TLS alert arrives.
const maxTLSFailures = 3

// firstConnectTimeout bounds the first connection after a TLS failure. The library
// does not always retry it.
const firstConnectTimeout = 2 * time.Second

// onReconnectError returns a handler that fails the connection on a permanent error.
func (c *Conn) onReconnectError(config Config) nats.ConnErrHandler {
	failures := 0 // the library calls from one goroutine
	return func(nc *nats.Conn, err error) {
		refused := &TLSError{redacted(config.Servers), ClientRejected, err}
		if !errors.Is(err, nats.ErrTLS) || errors.Is(err, os.ErrDeadlineExceeded) { // a slow broker rejects nobody
			failures = 0
		} else if failures++; failures == maxTLSFailures {
			c.fail(refused)
		} else if failures == 1 && nc.Stats().OutMsgs == 0 {
			time.AfterFunc(firstConnectTimeout, func() {
				if !nc.IsConnected() && nc.Stats().OutMsgs == 0 {
					c.fail(refused)
				}
			})
		}
		if err = permanentError(err, config); err != nil {
			c.fail(err)
		}
	}
}

// permanentError returns err as a [*LoginError] or [*TLSError], or nil if a retry may
// succeed.
func permanentError(err error, c Config) error {
	server := redacted(c.Servers)
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return &LoginError{server, c.User, err}
	case errors.Is(err, nats.ErrSecureConnWanted):
		return &TLSError{server, NoServerTLS, errors.New("the broker does not use TLS")}
	}
	if problem := tlsProblem(err); problem != 0 {
		return &TLSError{server, problem, err}
	}
	return nil
}

// tlsProblem returns the kind of a TLS error, or 0 for any other error.
func tlsProblem(err error) TLSProblem {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return UnknownServerAuthority
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return WrongServerName
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return InvalidServerCertificate
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NotTLS
	}
	// A TLS alert from the other side has no exported type.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return ClientRejected
	}
	return 0
}
