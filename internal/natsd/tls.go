package natsd

// TLS for clients. Brokers among themselves have theirs in the file.

import (
	"github.com/nats-io/nats-server/v2/server"
)

// TLS names the files of the server's certificate.
type TLS struct {
	Cert, Key string // the server's; "" for no TLS
	CA        string // who signs the certificates that clients must show; "": they show none
}

// handshakeWithin is long, for a busy machine; a client that says nothing is
// still cut off.
const handshakeWithin = 5 // seconds

func (t TLS) apply(o *server.Options) error {
	if t == (TLS{}) {
		return nil
	}
	if t.Cert == "" || t.Key == "" {
		return &TLSError{ErrKeyPair}
	}
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: t.Cert, KeyFile: t.Key, CaFile: t.CA, Verify: t.CA != "",
	})
	if err != nil {
		return &TLSError{err}
	}
	o.TLS, o.TLSConfig, o.TLSTimeout = true, config, handshakeWithin
	o.TLSVerify, o.TLSCaCert = t.CA != "", t.CA
	return nil
}
