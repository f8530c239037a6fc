package stream

// The connection to the broker. It waits for a broker that has not started, and
// reconnects, without a time limit.

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
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Config is the configuration of a connection to the broker.
type Config struct {
	Servers string // URLs, comma-separated
	Name    string // name of the client in the broker's monitoring
	Role    string // "producer", "consumer" or "admin": part of the inbox subjects, for permissions
	Creds   string // a credentials file
	User    string

	Password, PasswordFile string // at most one of the two

	CA        string // CA that signed the broker's certificate; "": the CAs of the system
	Cert, Key string // client certificate, if the broker requires one
	Log       *slog.Logger
	Start     string        // how to start a broker, logged while none can be reached, or ""
	Options   []nats.Option // applied last
}

// A Conn is a connection to the broker. While the broker is unreachable, calls fail
// or wait. After a reconnect, they continue.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger

	dialer *dialer

	// broken is cancelled, with the cause, by a permanent error.
	broken context.Context
	fail   context.CancelCauseFunc

	reconnects atomic.Uint64

	viewed atomic.Int64 // a viewer listens until this time, in Unix nanoseconds

	mu   sync.Mutex
	lost chan struct{} // closed and replaced when the connection is lost
}

const (
	apiTimeout = 5 * time.Second // for a response of the broker
	// writeTimeout bounds a write to the socket. With the default of one minute, a
	// network partition would stay undetected that long.
	writeTimeout = 3 * time.Second
	// flushTimeout is short, so that Ctrl-C works while the broker hangs. Messages
	// that do not arrive are resent or redelivered.
	flushTimeout = 800 * time.Millisecond
	noticeDelay  = 400 * time.Millisecond // shorter trouble is not logged
	pollInterval = 100 * time.Millisecond // for conditions without a notification
)

// Connect connects to the broker. It waits for the broker until ctx ends, and logs
// that once. It returns permanent errors at once: [*ServerError], [*LoginError],
// [*TLSError].
func Connect(ctx context.Context, c Config) (*Conn, error) {
	conn := &Conn{log: c.Log, dialer: &dialer{Dialer: net.Dialer{Timeout: dialTimeout}}, lost: make(chan struct{})}
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
		return nil, fmt.Errorf("connect to %s: %w", redacted(c.Servers), err)
	}
	conn.nc = nc
	if conn.js, err = jetstream.New(nc); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	if err := conn.awaitConnected(ctx, c, up); err != nil {
		nc.Close()
		return nil, err
	}
	return conn, nil
}

// awaitConnected waits for the first connection, until ctx ends or a permanent error.
func (c *Conn) awaitConnected(ctx context.Context, config Config, up <-chan struct{}) error {
	notice := time.NewTimer(noticeDelay)
	defer notice.Stop()
	waited := false
	for {
		select {
		case <-up:
			if waited {
				c.log.Info("connected to the broker", "server", c.nc.ConnectedUrlRedacted())
			}
			return nil
		case <-notice.C:
			waited = true
			attrs := []any{"server", redacted(config.Servers)}
			if err := c.dialer.failed.Load(); err != nil {
				attrs = append(attrs, "error", *err)
			} else if err := c.nc.LastError(); err != nil {
				attrs = append(attrs, "error", err)
			}
			if config.Start != "" {
				attrs = append(attrs, "hint", config.Start)
			}
			c.log.Warn("cannot connect to the broker, retrying", attrs...)
		case <-c.broken.Done():
			return context.Cause(c.broken)
		case <-ctx.Done():
			return fmt.Errorf("no broker at %s: %w", redacted(config.Servers), context.Cause(ctx))
		}
	}
}

// options returns the connection options. up receives a value at the first connection.
func (c *Conn) options(config Config, up chan<- struct{}) []nats.Option {
	o := []nats.Option{
		nats.Name(config.Name),
		nats.CustomInboxPrefix("_INBOX_" + config.Role),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// No buffer while disconnected: each sender resends what is not
		// acknowledged, and a buffer would send it twice.
		nats.ReconnectBufSize(-1),
		// A network partition closes no connection: pings detect it.
		nats.PingInterval(2 * time.Second),
		nats.MaxPingsOutstanding(2),
		// During a partition, writes block.
		nats.FlusherTimeout(writeTimeout),
		nats.SetCustomDialer(c.dialer),
		nats.SkipHostLookup(), // the dialer resolves names
		nats.ConnectHandler(func(*nats.Conn) { up <- struct{}{} }),
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
			c.reconnects.Add(1)
			c.log.Info("reconnected to the broker", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ReconnectErrHandler(c.onReconnectError(config)),
		nats.ClosedHandler(func(nc *nats.Conn) { c.fail(closeError(nc.LastError(), config)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.asyncError(err, config) }),
	}
	return o
}

// asyncError handles errors that no call returns. Permission denied is one of them:
// the denied call gets no response.
func (c *Conn) asyncError(err error, config Config) {
	if isAnswerViolation(err) {
		c.log.Warn("a request was not answered: the broker refuses its reply subject", "error", err)
		return
	}
	if errors.Is(err, nats.ErrPermissionViolation) && (!isSummaryViolation(err) || config.Role == viewerRole) {
		c.fail(&RightsError{err.Error(), config.Role, config.User})
		return
	}
	c.log.Debug("nats", "error", err)
}

// connectionLost returns a channel that is closed when the current connection is
// lost. Messages in flight on it are lost, even after a reconnect.
func (c *Conn) connectionLost() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// closeError returns the error of a closed connection.
func closeError(last error, config Config) error {
	if last == nil {
		return errors.New("stream: the connection is closed")
	}
	if err := permanentError(last, config); err != nil {
		return err
	}
	return fmt.Errorf("stream: the connection is closed: %w", last)
}

// Err returns the permanent error that has ended the connection, or nil.
func (c *Conn) Err() error { return context.Cause(c.broken) }

// Connected reports whether there is a connection to the broker now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Reconnects returns how often the connection was lost and made again. The statistics of
// the client count a first connection that had to wait, too.
func (c *Conn) Reconnects() uint64 { return c.reconnects.Load() }

// URL returns the URL of the connected broker, without a password.
func (c *Conn) URL() string { return c.nc.ConnectedUrlRedacted() }

// Close flushes the buffer and closes the connection. A flush that times out is not
// an error: messages that the broker has not received are not acknowledged, and are
// resent or redelivered.
func (c *Conn) Close() error {
	if c.nc.IsConnected() {
		if err := c.nc.FlushTimeout(flushTimeout); err != nil {
			c.log.Debug("close the connection", "error", err)
		}
	}
	c.nc.Close()
	return nil
}

// Stream waits until the stream exists, and logs that once. It returns a
// [*SettingError] if a setting of the stream is wrong.
func (c *Conn) Stream(ctx context.Context) (jetstream.Stream, error) {
	absent := notice{log: c.log, after: noticeDelay}
	for attempt := 0; ; attempt++ {
		s, err := c.lookUpStream(ctx, lookupTimeout(attempt))
		if err == nil {
			absent.end("the stream exists now", "stream", Name)
			if err := checkSettings(s.CachedInfo().Config); err != nil {
				return nil, err
			}
			return s, nil
		}
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			absent.begin("the broker has no such stream yet, waiting for it", "stream", Name)
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
			errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			absent.begin("the broker has no JetStream yet, waiting for it", "error", err)
		default:
			c.log.Debug("look up the stream", "error", err)
		}
		if err := c.pause(ctx, pollInterval); err != nil {
			return nil, fmt.Errorf("no stream %s: %w", Name, err)
		}
	}
}

// lookUpStream returns the stream with its current state.
func (c *Conn) lookUpStream(ctx context.Context, timeout time.Duration) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(c.broken, cancel)() // a denied request gets no response
	return c.js.Stream(ctx, Name)
}

// lookupTimeout bounds a question to the broker. While a cluster elects a leader it
// drops questions, and answers those that are asked later. A slow broker needs longer.
func lookupTimeout(attempt int) time.Duration {
	return min(time.Second<<min(attempt, 3), apiTimeout)
}

// lookUp asks the broker a question.
func lookUp[T any](ctx context.Context, timeout time.Duration, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ask(ctx)
}

// pause waits for d. It returns the cause if ctx ends or the connection breaks first.
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

// redacted returns a list of URLs without their passwords.
func redacted(servers string) string {
	list := strings.Split(servers, ",")
	for i, s := range list {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil {
			list[i] = u.Redacted()
		}
	}
	return strings.Join(list, ",")
}

// dialTimeout also bounds the DNS lookup. The lookup of the library has no timeout,
// and takes half a minute if no DNS server responds.
const dialTimeout = 2 * time.Second

// A dialer opens connections that a write timeout closes.
type dialer struct {
	net.Dialer
	failed atomic.Pointer[error] // why the last attempt failed, nil if it did not
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		d.failed.Store(&err)
		return nil, err
	}
	d.failed.Store(nil)
	return deadlineConn{c}, nil
}

// A deadlineConn is a connection that a write timeout closes. The library would keep
// writing, and a blocked write hides missing pongs. Without it, detecting a network
// partition took 21 s.
type deadlineConn struct{ net.Conn }

func (d deadlineConn) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if closing := d.Close(); closing != nil {
		return n, errors.Join(err, closing)
	}
	return n, err
}

// A notice logs the begin and the end of one kind of trouble, once each. It is not
// safe for concurrent use.
type notice struct {
	log    *slog.Logger
	after  time.Duration // shorter trouble is not logged
	since  time.Time     // zero: no trouble
	logged bool
}

// begin reports trouble. It logs a warning once the trouble has lasted long enough.
func (n *notice) begin(text string, args ...any) {
	if n.since.IsZero() {
		n.since = time.Now()
	}
	if !n.logged && time.Since(n.since) >= n.after {
		n.logged = true
		n.log.Warn(text, args...)
	}
}

// end reports that the trouble is over. It logs that if the trouble was logged.
func (n *notice) end(text string, args ...any) {
	if n.logged {
		n.log.Info(text, append(args, "after", time.Since(n.since).Round(time.Millisecond))...)
	}
	n.since, n.logged = time.Time{}, false
}
