package stream

// The way to a broker that may be cut off at any moment, and then closes no
// connection, takes nothing and answers nothing.

import (
	"errors"
	"net"
	"os"
	"time"
)

// dialWithin bounds the look-up of the name as well: the library's own has no
// limit, and where no name server answers it takes half a minute.
const dialWithin = 2 * time.Second

// A dialer makes connections that end when what is written is not taken.
type dialer struct{ net.Dialer }

func newDialer() *dialer { return &dialer{net.Dialer{Timeout: dialWithin}} }

// Dial is what the library calls.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return taken{c}, nil
}

// A taken is a connection that is closed by a write that takes too long. The
// library would go on writing to it, and while a write waits it can't find out
// that no ping is answered: a broker that was cut off was given up after 21 s.
type taken struct{ net.Conn }

func (t taken) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if closing := t.Close(); closing != nil {
		return n, errors.Join(err, closing)
	}
	return n, err
}
