package e2e

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// slowLink implements slowlink D: it sets $NATS_URL to a link to the broker that
// delays all bytes by D in each direction.
func slowLink(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 1, "slowlink D")
	delay, err := time.ParseDuration(args[0])
	ts.Check(err)
	l, err := newLink(ts.Getenv("ADDRESS"))
	ts.Check(err)
	ts.Defer(l.close)
	l.setDelay(delay)
	ts.Setenv("NATS_URL", "nats://"+l.address())
}

// A link is a proxy between clients and a broker. It can be slow, and it can be
// cut.
type link struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	delay time.Duration // of all bytes in each direction
	down  bool
	open  map[net.Conn]bool
}

// newLink listens on a free address, and connects who comes there with target.
func newLink(target string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, target: target, open: map[net.Conn]bool{}}
	go l.serve()
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *link) currentDelay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay
}

// cut closes all connections, and each new one, until restore.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.open {
		c.Close()
	}
}

func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

func (l *link) close() {
	l.listener.Close()
	l.cut()
}

func (l *link) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", l.target)
		if err != nil {
			client.Close()
			continue
		}
		if l.add(client, broker) {
			go l.copy(client, broker)
			go l.copy(broker, client)
		}
	}
}

// add registers connections, or closes them if the link is cut.
func (l *link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.down {
			c.Close()
		} else {
			l.open[c] = true
		}
	}
	return !l.down
}

// copy copies bytes, each the delay after it was read. It closes to at the end.
func (l *link) copy(to io.WriteCloser, from net.Conn) {
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
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, from)
	}()
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		pieces <- piece{b[:n], time.Now().Add(l.currentDelay())}
	}
}
