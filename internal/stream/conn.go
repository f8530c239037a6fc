package stream

// The connection to the broker. It waits for one that is not there yet, or not
// any more, for as long as it takes.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Config says how to reach the broker.
type Config struct {
	Servers string // URLs, comma-separated
	Name    string // ours, for the broker's lists of connections
	Role    string // "producer" or "consumer": which inboxes we may hear
	Creds   string // a credentials file
	User    string

	Password, PasswordFile string // one of the two

	CA        string // CA that signed the broker's certificate; "": the CAs of the system
	Cert, Key string // ours, if the broker wants to see one
	Log       *slog.Logger
	Options   []nats.Option // applied last
}

// A Conn is a connection to the broker. While the broker is away, what needs
// it fails or waits; when it is back, all goes on.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger

	// broken is cancelled, with the cause, when waiting is of no use.
	broken context.Context
	fail   context.CancelCauseFunc

	mu   sync.Mutex
	lost chan struct{} // closed, and made anew, when the connection is lost
}

const (
	apiTimeout = 5 * time.Second // for an answer of the broker
	// writeTimeout is for the system to take what we send. The library's own
	// minute is as long as we would not notice a broker that is cut off.
	writeTimeout = 3 * time.Second
	// flushTimeout is short: a broker that hangs must not keep Ctrl-C waiting,
	// and what it does not hear any more comes again.
	flushTimeout = 800 * time.Millisecond
	noticeDelay  = 400 * time.Millisecond // what is over sooner is not worth a word
	pollInterval = 100 * time.Millisecond // for what the broker does not tell by itself
)

// Connect connects to the broker. It waits for it until ctx ends, and says so
// once. Wrong credentials are an error at once.
func Connect(ctx context.Context, c Config) (*Conn, error) {
	conn := &Conn{log: c.Log, lost: make(chan struct{})}
	conn.broken, conn.fail = context.WithCancelCause(context.Background())
	up := make(chan struct{}, 1)
	if err := checkServers(c.Servers); err != nil {
		return nil, err
	}
	secure, err := c.authOptions()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(c.Servers, slices.Concat(conn.options(c, up), secure, c.Options)...)
	if err != nil {
		return nil, fmt.Errorf("stream: connect to %s: %w", redacted(c.Servers), err)
	}
	conn.nc = nc
	if conn.js, err = jetstream.New(nc); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	if err := conn.awaitFirst(ctx, c, up); err != nil {
		nc.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Conn) awaitFirst(ctx context.Context, config Config, up <-chan struct{}) error {
	say := time.NewTimer(noticeDelay)
	defer say.Stop()
	waited := false
	for {
		select {
		case <-up:
			if waited {
				c.log.Info("connected to the broker", "server", c.nc.ConnectedUrlRedacted())
			}
			return nil
		case <-say.C:
			waited = true
			facts := []any{"server", redacted(config.Servers)}
			if err := c.nc.LastError(); err != nil {
				facts = append(facts, "error", err)
			}
			c.log.Warn("cannot connect to the broker, retrying", facts...)
		case <-c.broken.Done():
			return context.Cause(c.broken)
		case <-ctx.Done():
			return fmt.Errorf("stream: no broker at %s: %w", redacted(config.Servers), context.Cause(ctx))
		}
	}
}

func (c *Conn) options(config Config, up chan<- struct{}) []nats.Option {
	first := func(*nats.Conn) { up <- struct{}{} }
	o := []nats.Option{
		nats.Name(config.Name),
		nats.CustomInboxPrefix("_INBOX_" + config.Role),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// Nothing is kept for later while the broker is away: all that is sent
		// is sent again by those who wait for an answer, and once is enough.
		nats.ReconnectBufSize(-1),
		// A broker that is cut off closes no connection.
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		// Nor does it take what we write.
		nats.FlusherTimeout(writeTimeout),
		nats.SetCustomDialer(newDialer()),
		nats.SkipHostLookup(), // the dialer does it
		nats.ConnectHandler(first),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			c.mu.Lock()
			close(c.lost)
			c.lost = make(chan struct{})
			c.mu.Unlock()
			if !nc.IsClosed() {
				c.log.Warn("disconnected from the broker, reconnecting", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.log.Info("reconnected to the broker", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ReconnectErrHandler(c.onReconnectError(config)),
		nats.ClosedHandler(func(nc *nats.Conn) { c.fail(closeError(nc.LastError(), config)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.asyncError(err, config) }),
	}
	return o
}

// asyncError hears of what no call returns. Missing rights are such a thing: the
// call itself would just never be answered.
func (c *Conn) asyncError(err error, config Config) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.fail(&RightsError{err.Error(), config.Role, config.User})
		return
	}
	c.log.Debug("nats", "error", err)
}

// connectionLost returns a channel that is closed when the present connection is
// lost. What was on its way on it never arrives, even after a reconnect.
func (c *Conn) connectionLost() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func closeError(last error, config Config) error {
	if last == nil {
		return errors.New("stream: the connection is closed")
	}
	if err := permanentError(last, config); err != nil {
		return err
	}
	return fmt.Errorf("stream: the connection is closed: %w", last)
}

// URL is the broker we are connected to.
func (c *Conn) URL() string { return c.nc.ConnectedUrlRedacted() }

// Close sends what is buffered and ends the connection. A broker that does not
// answer in time is no error: what counts as done was acknowledged before, and
// whatever the broker has not received is sent or delivered again.
func (c *Conn) Close() error {
	if c.nc.IsConnected() {
		if err := c.nc.FlushTimeout(flushTimeout); err != nil {
			c.log.Debug("close the connection", "error", err)
		}
	}
	c.nc.Close()
	return nil
}

// Stream waits until the broker has the stream, and says so once. It returns a
// [*SettingError] if the stream is not as it must be.
func (c *Conn) Stream(ctx context.Context) (jetstream.Stream, error) {
	absent := notice{log: c.log, after: noticeDelay}
	for {
		s, err := c.lookUpStream(ctx)
		if err == nil {
			absent.end("the broker has the stream now", "stream", Name)
			if err := check(s.CachedInfo().Config); err != nil {
				return nil, err
			}
			return s, nil
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			absent.begin("the broker has no such stream yet, waiting until it is created", "stream", Name)
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
			errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			absent.begin("the broker has no JetStream yet, waiting", "error", err)
		default:
			c.log.Debug("look for the stream", "error", err)
		}
		if err := c.pause(ctx, pollInterval); err != nil {
			return nil, fmt.Errorf("stream: no stream %s: %w", Name, err)
		}
	}
}

func (c *Conn) lookUpStream(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	defer context.AfterFunc(c.broken, cancel)() // without the rights to ask there is no answer
	return c.js.Stream(ctx, Name)
}

// pause waits, and returns the reason if it must end sooner.
func (c *Conn) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.broken.Done():
		return context.Cause(c.broken)
	}
}

// sleep waits for d. It returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// redacted is a list of servers without the passwords in it.
func redacted(servers string) string {
	list := strings.Split(servers, ",")
	for i, s := range list {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil {
			list[i] = u.Redacted()
		}
	}
	return strings.Join(list, ",")
}

// dialTimeout bounds the look-up of the name as well: the library's own has no
// limit, and where no name server answers it takes half a minute.
const dialTimeout = 2 * time.Second

// A dialer makes connections that end when what is written is not taken.
type dialer struct{ net.Dialer }

func newDialer() *dialer { return &dialer{net.Dialer{Timeout: dialTimeout}} }

// Dial is what the library calls.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return deadlineConn{c}, nil
}

// A deadlineConn is a connection that is closed by a write that takes too long. The
// library would go on writing to it, and while a write waits it can't find out
// that no ping is answered: a broker that was cut off was given up after 21 s.
type deadlineConn struct{ net.Conn }

func (t deadlineConn) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if closing := t.Close(); closing != nil {
		return n, errors.Join(err, closing)
	}
	return n, err
}

// A notice is the state of one such trouble. It is not safe for concurrent use.
type notice struct {
	log   *slog.Logger
	after time.Duration // how long the trouble must last to be worth a word
	since time.Time     // zero: there is none
	said  bool
}

// begin says that there is trouble, unless that has been said.
func (n *notice) begin(text string, args ...any) {
	if n.since.IsZero() {
		n.since = time.Now()
	}
	if !n.said && time.Since(n.since) >= n.after {
		n.said = true
		n.log.Warn(text, args...)
	}
}

// end says that it is over, if it was said to be there.
func (n *notice) end(text string, args ...any) {
	if n.said {
		n.log.Info(text, append(args, "after", time.Since(n.since).Round(time.Millisecond))...)
	}
	n.since, n.said = time.Time{}, false
}
