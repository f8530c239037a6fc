package stream

// Who we are to the broker, and whether it is the one we mean. What is wrong
// here does not get right by waiting, so none of it is waited for.

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

// A LoginError says that the broker does not let us in.
type LoginError struct {
	Server, User string
	Err          error
}

func (e *LoginError) Error() string {
	if e.User == "" {
		return fmt.Sprintf("stream: the broker at %s requires authentication: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("stream: the broker at %s does not let user %q in: %v", e.Server, e.User, e.Err)
}

func (e *LoginError) Unwrap() error { return e.Err }

// A TLSError says why there is no secure connection.
type TLSError struct {
	Server  string
	Problem TLSProblem
	Err     error
}

// A TLSProblem is the side and the kind of a TLS error.
type TLSProblem int

// The problems of a secure connection.
const (
	BadClientCertificate     TLSProblem = iota + 1 // the client's certificate or key can't be loaded
	ClientRejected                                 // the broker rejects the client, perhaps for want of a certificate
	NoServerTLS                                    // the broker does not offer TLS
	NotTLS                                         // the server's answer is not TLS
	UnknownServerAuthority                         // the broker's certificate is signed by an unknown authority
	WrongServerName                                // the broker's certificate is for other host names
	InvalidServerCertificate                       // the broker's certificate has expired or is otherwise invalid
)

func (e *TLSError) Error() string {
	return fmt.Sprintf("stream: no secure connection to %s: %v", e.Server, e.Err)
}

func (e *TLSError) Unwrap() error { return e.Err }

// authOptions are the options of login and TLS.
func (c Config) authOptions() (o []nats.Option, err error) {
	switch {
	case c.Creds != "":
		o = append(o, nats.UserCredentials(c.Creds))
	case c.User != "":
		password, err := c.password()
		if err != nil {
			return nil, err
		}
		o = append(o, nats.UserInfo(c.User, password))
	case c.Password+c.PasswordFile != "":
		return nil, &LoginError{redacted(c.Servers), "", errors.New("there is a password, but no user")}
	}
	if c.CA != "" {
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

func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	if c.Password != "" {
		return "", &LoginError{redacted(c.Servers), c.User, errors.New("NATS_PASSWORD and NATS_PASSWORD_FILE are both set, want one")}
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", &LoginError{redacted(c.Servers), c.User, err}
	}
	password := strings.TrimSpace(string(text))
	if password == "" {
		return "", &LoginError{redacted(c.Servers), c.User, fmt.Errorf("%s is empty", c.PasswordFile)}
	}
	return password, nil
}

// maxHangups is how often in a row a broker may hang up on us after the handshake.
// One that dies does so once; one that does not like our certificate always,
// and it may be too quick for us to hear why.
const maxHangups = 3

// firstConnectTimeout is how long a first connection may take after the broker has hung
// up on it: the library was seen to try no second time.
const firstConnectTimeout = 2 * time.Second

// onReconnectError ends a connection that is refused.
func (c *Conn) onReconnectError(config Config) nats.ConnErrHandler {
	hungUp := 0 // the library calls from one goroutine
	return func(nc *nats.Conn, err error) {
		refused := &TLSError{redacted(config.Servers), ClientRejected, err}
		if !errors.Is(err, nats.ErrTLS) {
			hungUp = 0
		} else if hungUp++; hungUp == maxHangups {
			c.fail(refused)
		} else if hungUp == 1 && nc.Stats().OutMsgs == 0 {
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

// permanentError is the error of a broker that is there and will not have us, or that
// we will not have; nil if err is another's.
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
	// An alert sent by the other side has no type of its own.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return ClientRejected
	}
	return 0
}
