package e2e

import (
	"io"
	"net"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// slowLink implements slowlink D: it sets $NATS_URL to a proxy before the
// broker that delays all bytes by D in each direction.
func slowLink(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 1, "slowlink D")
	delay, err := time.ParseDuration(args[0])
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	address := ts.Getenv("ADDRESS")
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			broker, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			go delayed(client, broker, delay)
			go delayed(broker, client, delay)
		}
	}()
	ts.Setenv("NATS_URL", "nats://"+l.Addr().String())
}

// delayed copies bytes, each a while after it was read.
func delayed(to io.WriteCloser, from io.Reader, delay time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1<<12)
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				for range pieces { // until from is at its end
				}
				return
			}
		}
	}()
	defer close(pieces)
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		pieces <- piece{b[:n], time.Now().Add(delay)}
	}
}
