// Package natsd runs a NATS server with JetStream in this process. [Start] returns
// a server that accepts clients, or an error. After [Server.Stop] the store is
// complete on disk.
//
// The server library reports startup errors, such as a port in use, only to its
// logger, and then never becomes ready. It also lets two servers open one store,
// which corrupts it. This package returns an error in both cases.
package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A Server is a running NATS server.
type Server struct {
	ns *server.Server
	// lock keeps other servers off the store. It must stay reachable: the garbage
	// collector closes its file, which releases the lock.
	lock       *flock.Flock
	log        *logger
	config     Config
	url        string
	store      string
	login      nats.Option // for in-process connections
	standalone bool
	stop       sync.Once
}

// readyTimeout bounds the time until a started server accepts clients. Errors are
// reported at once; only a slow machine needs the wait.
const readyTimeout = 30 * time.Second

// Start starts a server and returns it once it accepts clients. Its errors are
// [*ListenError], [*StoreError], [ErrInsecure], [*FileError], [*AuthError] and
// [*TLSError].
func Start(c Config) (*Server, error) {
	setup, err := c.setup()
	if err != nil {
		return nil, err
	}
	lock, err := lockStore(setup.StoreDir)
	if err != nil {
		return nil, err
	}
	if err := freeReserve(setup.StoreDir); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s, err := start(setup, c)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s.lock = lock
	return s, nil
}

// start starts a server without locking its store. It calls Maintain before the
// server accepts clients.
func start(setup *setup, c Config) (*Server, error) {
	o := setup.Options
	standalone := setup.noFileUsers && setup.Cluster.Port == 0
	// A server in a cluster connects to the others only once it listens.
	o.DontListen = standalone && c.Maintain != nil
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	s := &Server{
		ns: ns, log: newLogger(c.Log), config: c, store: setup.StoreDir,
		login: setup.login, standalone: standalone,
	}
	ns.SetLoggerV2(s.log, o.Debug, o.Trace, false)
	ns.Start() // returns after the setup, or at the first fatal error
	if err := s.listen(); err != nil {
		s.shutdown()
		return nil, err
	}
	scheme := "nats://"
	if o.TLSConfig != nil {
		scheme = "tls://"
	}
	s.url = scheme + dialAddress(ns.Addr())
	return s, nil
}

// listen waits until the server is ready, prepares it, and lets clients in.
func (s *Server) listen() error {
	if err := s.failure(); err != nil {
		return err
	}
	if !s.ns.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("natsd: not ready after %s", readyTimeout)
	}
	if !s.maintained() {
		return nil
	}
	if err := errors.Join(s.keepReserve(), s.maintain()); err != nil {
		return err
	}
	s.ns.AcceptLoop(make(chan struct{})) // returns once it listens, or at a fatal error
	return s.failure()
}

// failure returns the fatal error of the server, or nil.
func (s *Server) failure() error {
	select {
	case text := <-s.log.fatal:
		return fmt.Errorf("natsd: the server failed: %s", text)
	default:
		return nil
	}
}

// maintain calls Maintain, if there is one and this server can create its stream.
func (s *Server) maintain() error {
	if !s.maintained() {
		return nil
	}
	return errors.Join(s.config.Maintain(s), s.syncMetadata())
}

func (s *Server) maintained() bool { return s.standalone && s.config.Maintain != nil }

// URL returns the URL for clients on this machine.
func (s *Server) URL() string { return s.url }

// EveryAddress reports whether clients reach the server at every address of this
// machine.
func (s *Server) EveryAddress() bool { return everyAddress(s.ns.Addr()) }

// MonitorURL returns the URL of health and metrics, or "" if they are off.
func (s *Server) MonitorURL() string {
	if a := s.ns.MonitorAddr(); a != nil {
		return "http://" + dialAddress(a)
	}
	return ""
}

// Standalone reports whether this server can create the stream by itself. It can't
// in a cluster. Nor can it if the configuration file defines users, because
// [Server.Connect] has no login then.
func (s *Server) Standalone() bool { return s.standalone }

// Store returns the directory of the queue.
func (s *Server) Store() string { return s.store }

// MaxStore returns the disk space limit of the store, in bytes.
func (s *Server) MaxStore() int64 { return s.ns.JetStreamConfig().MaxStore }

// Clients returns the names of the clients that are connected.
func (s *Server) Clients() (names []string) {
	connections, err := s.ns.Connz(&server.ConnzOptions{Limit: s.ns.NumClients() + 1})
	if err != nil {
		return nil // only for invalid options
	}
	for _, c := range connections.Conns {
		names = append(names, c.Name)
	}
	return names
}

// Connect connects to the server in process, with all permissions.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	// A machine that stands still for longer than the default timeout, 2 s, is no error.
	nc, err := nats.Connect("", append([]nats.Option{s.login, nats.InProcessServer(s.ns), nats.Timeout(readyTimeout)}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("natsd: connect in process: %w", err)
	}
	return nc, nil
}

// InProcessConn returns an in-process connection, for the nats.go option
// InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Supervise runs until ctx ends and returns nil, or until the server fails and
// returns the error. It calls Maintain and Observe once a second. While it runs, other
// goroutines may call only URL, Store and Standalone.
//
// After one failed write, the server rejects every write until it restarts, and
// answers no publisher. Supervise frees the reserve, or waits until the disk
// accepts writes, and restarts the server at the same addresses. Clients
// reconnect.
func (s *Server) Supervise(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failing := Notice{
		Log:   s.config.Log,
		Began: "maintain the queue: failed, retrying every second", Ended: "maintain the queue: works again",
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			failing.Report(errors.Join(s.keepReserve(), s.maintain()), time.Now())
			if s.config.Observe != nil {
				s.config.Observe(s)
			}
		case reason := <-s.log.fatal:
			return fmt.Errorf("natsd: the server failed: %s", reason)
		case err := <-s.log.disk:
			if err := s.recoverStore(ctx, err); err != nil {
				return err
			}
		}
	}
}

// restart stops the server and starts it at the same addresses. The store stays
// locked.
func (s *Server) restart() error {
	client, monitor := s.ns.Addr(), s.ns.MonitorAddr()
	s.shutdown()
	setup, err := s.config.setup()
	if err != nil {
		return err
	}
	setup.Port = client.(*net.TCPAddr).Port // port 0 would select another one
	if monitor != nil {
		setup.HTTPPort = monitor.Port
	}
	next, err := start(setup, s.config)
	if err != nil {
		return err
	}
	s.ns, s.log, s.login = next.ns, next.log, next.login
	return nil
}

// Stop stops the server. When it returns, the store is complete on disk and
// unlocked. Further calls do nothing.
func (s *Server) Stop() (err error) {
	s.stop.Do(func() {
		s.shutdown()
		err = s.lock.Unlock()
	})
	return err
}

// shutdown stops the server and waits: Shutdown alone returns while the store is
// still being written.
func (s *Server) shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// The log of the server.

// A logger passes the server's log to slog. The server reports a fatal error only
// here, and expects the logger to exit the process. The logger keeps the error
// instead.
type logger struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal error
	disk  chan error  // holds the first failed disk write
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log.With("from", "nats-server"), make(chan string, 1), make(chan error, 1)}
}

// Fatalf keeps the first fatal error. Later ones are its consequences.
func (l *logger) Fatalf(format string, a ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, a...):
	default:
	}
}

// Noticef logs at debug level: one start logs twenty notices.
func (l *logger) Noticef(format string, a ...any) { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Debugf(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Tracef(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Warnf(format string, a ...any)   { l.log.Warn(fmt.Sprintf(format, a...)) }

// Errorf keeps the first failed disk write. The server reports it only here.
func (l *logger) Errorf(format string, a ...any) {
	l.log.Error(fmt.Sprintf(format, a...))
	for _, arg := range a {
		if err, ok := arg.(error); ok && isWriteError(err) {
			select {
			case l.disk <- err:
			default:
			}
		}
	}
}
