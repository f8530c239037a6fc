// Package natsd runs a NATS server with JetStream inside this process: it
// starts and is ready, or says why it is not; it stops and all is on disk.
//
// The server library alone would not say. It reports a taken port or a store
// it may not write to its logger only, and then just never gets ready; two of
// them on one store both start and ruin it.
package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A Server is a NATS server that is ready for clients.
type Server struct {
	ns *server.Server
	// lock keeps others off the store. It must live as long as the server: a
	// lock that is garbage collected is gone.
	lock   *flock.Flock
	log    *logger
	config Config
	client string
	store  string
	login  nats.Option // of this process
	alone  bool
	stop   sync.Once
}

// readyWithin is how long a started server may take until it accepts clients.
// Whatever goes wrong is known at once; the wait itself is for a slow machine.
const readyWithin = 30 * time.Second

// Start starts a server and returns it when it is ready, or the reason why it
// can't be: [*ListenError], [*StoreError], [ErrInsecure], [*FileError],
// [*AuthError], [*TLSError].
func Start(c Config) (*Server, error) {
	setup, err := c.setup()
	if err != nil {
		return nil, err
	}
	lock, err := lockStore(setup.StoreDir)
	if err != nil {
		return nil, err
	}
	s, err := start(setup.Options, c.Log)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	s.lock, s.store, s.config = lock, setup.StoreDir, c
	s.login, s.alone = setup.login, setup.ours && setup.Cluster.Port == 0
	return s, nil
}

func start(o *server.Options, log *slog.Logger) (*Server, error) {
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	s := &Server{ns: ns, log: newLogger(log)}
	ns.SetLoggerV2(s.log, o.Debug, o.Trace, false)
	ns.Start() // returns when all is set up, or at the first fatal error
	select {
	case text := <-s.log.fatal:
		s.shutdown()
		return nil, fmt.Errorf("natsd: %s", text)
	default:
	}
	if !ns.ReadyForConnections(readyWithin) {
		s.shutdown()
		return nil, fmt.Errorf("natsd: not ready on %s:%d after %s", o.Host, o.Port, readyWithin)
	}
	scheme := "nats://"
	if o.TLSConfig != nil {
		scheme = "tls://"
	}
	s.client = scheme + dialable(ns.Addr())
	return s, nil
}

// URL is where clients on this machine find the server.
func (s *Server) URL() string { return s.client }

// MonitorURL is where health and metrics are, "" if they are off.
func (s *Server) MonitorURL() string {
	if a := s.ns.MonitorAddr(); a != nil {
		return "http://" + dialable(a)
	}
	return ""
}

// Alone says whether the queue is this server's to make: it is in no cluster,
// where others have a say in it, and knows no users but ours, so that
// [Server.Connect] works.
func (s *Server) Alone() bool { return s.alone }

// Store is the folder of the queue.
func (s *Server) Store() string { return s.store }

// MaxStore is the most bytes the store may take.
func (s *Server) MaxStore() int64 { return s.ns.JetStreamConfig().MaxStore }

// Connect connects to the server without a network, with every right.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(options, s.login, nats.InProcessServer(s.ns))...)
	if err != nil {
		return nil, fmt.Errorf("natsd: connect in process: %w", err)
	}
	return nc, nil
}

// InProcessConn returns a connection without a network, for the nats.go option
// InProcessServer.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Supervise waits until ctx ends, and returns nil, or until the server ends by
// itself, and returns the reason. While it runs, no other method may be called
// but URL, Store and Alone.
//
// After one failed write the server's store refuses all others, and answers no
// publisher, until the server starts anew. So Supervise waits until the disk
// takes writes, and restarts the server at the same addresses. Clients reconnect.
func (s *Server) Supervise(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case reason := <-s.log.fatal:
			return fmt.Errorf("natsd: the server ended: %s", reason)
		case err := <-s.log.disk:
			if err := s.recoverStore(ctx, err); err != nil {
				return err
			}
		}
	}
}

const (
	// diskRoom is what the disk must take before the server is restarted, so
	// that it does not fail again at once.
	diskRoom = 4 << 20
	diskPoll = time.Second
)

func (s *Server) recoverStore(ctx context.Context, cause error) error {
	log := s.config.Log.With("store", s.store)
	log.Error("the disk refuses writes: the queue takes no rows until there is room", "error", cause)
	for {
		err := writable(s.store, diskRoom)
		if err == nil {
			break
		}
		log.Debug("no room yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(diskPoll):
		}
	}
	log.Info("the disk takes writes again, restarting the server")
	if err := s.restart(); err != nil {
		return err
	}
	log.Info("the queue takes rows again")
	return nil
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
	setup.Port = client.(*net.TCPAddr).Port // the configuration may have any free one
	if monitor != nil {
		setup.HTTPPort = monitor.Port
	}
	next, err := start(setup.Options, s.config.Log)
	if err != nil {
		return err
	}
	s.ns, s.log, s.login = next.ns, next.log, setup.login
	return nil
}

// Stop ends the server. When it returns, the store is whole on disk and free
// for another.
func (s *Server) Stop() (err error) {
	s.stop.Do(func() {
		s.shutdown()
		err = s.lock.Unlock()
	})
	return err
}

// shutdown waits for the end: Shutdown alone returns while the store is still
// being written.
func (s *Server) shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

// What the server says, as slog has it.

// A logger is the server's logger. The server tells of a fatal error in no
// other way, and goes on as if the logger had ended the process: so it is
// caught here.
type logger struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal error
	disk  chan error  // holds the first error of a disk that refuses writes
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log.With("from", "nats-server"), make(chan string, 1), make(chan error, 1)}
}

// Fatalf keeps the first one: what follows from it is of no use to anyone.
func (l *logger) Fatalf(format string, a ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, a...):
	default:
	}
}

// Noticef is for -v: a start alone makes twenty of them.
func (l *logger) Noticef(format string, a ...any) { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Debugf(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Tracef(format string, a ...any)  { l.log.Debug(fmt.Sprintf(format, a...)) }
func (l *logger) Warnf(format string, a ...any)   { l.log.Warn(fmt.Sprintf(format, a...)) }

// Errorf keeps the first error of a disk that refuses writes. The server reports
// it in no other way.
func (l *logger) Errorf(format string, a ...any) {
	l.log.Error(fmt.Sprintf(format, a...))
	for _, arg := range a {
		if err, ok := arg.(error); ok && refusesWrites(err) {
			select {
			case l.disk <- err:
			default:
			}
		}
	}
}

// refusesWrites reports whether err is that of a disk that is full, broken or
// has become read-only.
func refusesWrites(err error) bool {
	const windowsDiskFull = 112
	number, ok := errors.AsType[syscall.Errno](err)
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) ||
		ok && runtime.GOOS == "windows" && number == windowsDiskFull
}
