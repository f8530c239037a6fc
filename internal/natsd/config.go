package natsd

// Configuration: a Config becomes the options of the server. A nats-server
// configuration file may set everything else. A Config overrides the file.

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A Config is the configuration of a server. A zero field means the value of File,
// or the default of nats-server.
type Config struct {
	File     string        // path of a nats-server configuration file; "" for none
	Listen   string        // host:port for clients; port 0 selects a free port
	Monitor  string        // host:port for health and metrics over HTTP; "" for none
	Store    string        // directory of the queue; created if absent
	Sync     time.Duration // interval between fsyncs of the store; 0: before each acknowledgement; -1: the value of File
	MaxStore int64         // disk space limit of the store, in bytes
	Auth     string        // directory with a password or hash for each role; "" for none
	TLS      TLS
	Insecure bool // allow addresses beyond loopback without authentication
	Log      *slog.Logger

	// Maintain creates the stream and keeps its size limit within the space of the
	// disk. It is called before clients are accepted, and once a second while
	// [Server.Supervise] runs. It is not called for a server that is not standalone.
	Maintain func(*Server) error
	// Observe is called once a second while [Server.Supervise] runs, for every server.
	Observe func(*Server)
}

// A setup is the result of a Config.
type setup struct {
	*server.Options
	login       nats.Option // for in-process connections
	noFileUsers bool        // the configuration file defines no users
}

// setup returns the options of the server. It has checked that every address is
// free and may be used.
func (c Config) setup() (*setup, error) {
	o, err := c.file()
	if err != nil {
		return nil, err
	}
	// Otherwise the library handles SIGINT and exits the process.
	o.NoSigs = true
	if o.PingInterval == 0 {
		// A takeover waits until the server disconnects a writer that was stopped
		// (SIGSTOP). With the defaults that takes six minutes.
		o.PingInterval, o.MaxPingsOut = 5*time.Second, 2
	}
	// A client that is logging in takes a ping for an error; the short one comes after 2 s.
	o.DisableShortFirstPing = o.Cluster.Port == 0
	if o.AuthTimeout == 0 {
		o.AuthTimeout = tlsTimeout + 1 // as the default with TLS; 2 s are short for a busy machine
	}
	if o.ServerName == "" {
		o.ServerName = "turnstile"
	}
	c.storage(o)
	s := &setup{Options: o}
	if err := errors.Join(c.TLS.apply(o), c.auth(s)); err != nil {
		return nil, err
	}
	return s, c.listeners(o)
}

// file returns the options of the configuration file.
func (c Config) file() (*server.Options, error) {
	if c.File == "" {
		return &server.Options{}, nil
	}
	o, err := server.ProcessConfigFile(c.File)
	if err != nil {
		return nil, &FileError{c.File, err}
	}
	if o.NoJetStreamStrict {
		return nil, &FileError{c.File, ErrNotStrict}
	}
	return o, nil
}

const defaultMaxStore = 8 << 30 // bytes

// maxBuffered limits the received messages that wait for the disk. The server
// stores all of them, with an fsync each, before it delivers or acknowledges any.
// With its default of 100,000, a flood of small messages blocks all clients for
// half a minute. It rejects further messages (429), and a publisher retries them.
const maxBuffered = 1000

// storage sets the limits and the fsync policy of the store.
func (c Config) storage(o *server.Options) {
	o.JetStream = true
	if c.Store != "" || o.StoreDir == "" {
		o.StoreDir = c.Store // the default of NATS is in /tmp, which a reboot may clear
	}
	if c.MaxStore != 0 {
		o.JetStreamMaxStore = c.MaxStore
	}
	if o.JetStreamMaxStore <= 0 {
		o.JetStreamMaxStore = defaultMaxStore // the default of NATS is most of the disk
	}
	if o.JetStreamMaxMemory <= 0 {
		// Turnstile has no stream in memory. The default reserves 3/4 of the RAM.
		o.JetStreamMaxMemory = 1 << 20
	}
	if o.StreamMaxBufferedMsgs <= 0 {
		o.StreamMaxBufferedMsgs = maxBuffered
	}
	switch {
	case c.Sync >= 0:
		o.SyncAlways, o.SyncInterval = c.Sync == 0, c.Sync
	case o.SyncInterval == 0:
		// By default, a message is on disk before it is acknowledged.
		o.SyncAlways = true
	}
}

// listeners sets the addresses, and checks that each is free and that it is
// loopback or authenticated.
func (c Config) listeners(o *server.Options) (err error) {
	if c.Listen != "" {
		if o.Host, o.Port, err = splitAddress(c.Listen); err != nil {
			return err
		}
	}
	if c.Monitor != "" {
		if o.HTTPHost, o.HTTPPort, err = splitAddress(c.Monitor); err != nil {
			return err
		}
	}
	anyHost := c.Insecure || requiresAuth(o)
	if err := checkAddress(o.Host, o.Port, anyHost); err != nil {
		return err
	}
	if o.HTTPPort != 0 {
		host := o.HTTPHost
		if host == "" {
			host = o.Host
		}
		if err := checkAddress(host, o.HTTPPort, anyHost); err != nil {
			return err
		}
	}
	if o.Cluster.Port == 0 {
		return nil
	}
	// A process that joins the cluster has full access to the queue.
	return checkAddress(o.Cluster.Host, o.Cluster.Port, c.Insecure || o.Cluster.Username != "" || verifiesBrokers(&o.Cluster))
}

// requiresAuth reports whether clients must authenticate. Users of the system
// account do not count: clients without a user name still reach the default account.
func requiresAuth(o *server.Options) bool {
	system := cmp.Or(o.SystemAccount, server.DEFAULT_SYSTEM_ACCOUNT)
	notSystem := func(a *server.Account) bool { return a == nil || a.Name != system }
	return slices.ContainsFunc(o.Users, func(u *server.User) bool { return notSystem(u.Account) }) ||
		slices.ContainsFunc(o.Nkeys, func(u *server.NkeyUser) bool { return notSystem(u.Account) }) ||
		len(o.TrustedOperators) > 0 || o.Username != "" || o.Authorization != "" || o.TLSVerify || o.AuthCallout != nil
}

// verifiesBrokers reports whether brokers must present a signed certificate.
func verifiesBrokers(c *server.ClusterOpts) bool {
	return c.TLSConfig != nil && c.TLSConfig.ClientCAs != nil
}

// splitAddress splits host:port. Port 0 becomes the server's value for a free port.
func splitAddress(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, &ListenError{address, err}
	}
	if port, err = strconv.Atoi(p); err != nil {
		return "", 0, &ListenError{address, &net.AddrError{Err: "invalid port", Addr: p}}
	}
	if port <= 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// checkAddress returns an error if an address is in use, or is beyond loopback
// without anyHost. The server itself only logs that an address is in use.
func checkAddress(host string, port int, anyHost bool) error {
	if host == "" {
		host = server.DEFAULT_HOST
	}
	if port == 0 {
		port = server.DEFAULT_PORT
	}
	address := net.JoinHostPort(host, strconv.Itoa(max(port, 0))) // -1: any free port
	if !anyHost && !isLoopback(host) {
		return fmt.Errorf("%w: %s", ErrInsecure, address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return &ListenError{address, err}
	}
	return l.Close()
}

// isLoopback reports whether host is reachable from this machine only.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dialAddress returns an address at which clients on this machine reach a listener.
func dialAddress(a net.Addr) string {
	if _, port, err := net.SplitHostPort(a.String()); err == nil && everyAddress(a) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return (&url.URL{Host: a.String()}).Host
}

// everyAddress reports whether a listener at a hears every address of the machine.
func everyAddress(a net.Addr) bool {
	ip, err := netip.ParseAddrPort(a.String())
	return err == nil && ip.Addr().IsUnspecified()
}

// TLS for clients. TLS between brokers is set in the configuration file.

// TLS names PEM files.
type TLS struct {
	Cert, Key string // certificate of the server and its private key; "" for no TLS
	CA        string // authority that signs the required client certificates; "": none are required
}

// tlsTimeout bounds a handshake. It is long enough for a busy machine, and
// disconnects clients that send nothing.
const tlsTimeout = 5 // seconds

// apply sets the TLS options.
func (t TLS) apply(o *server.Options) error {
	if t == (TLS{}) {
		return nil
	}
	if t.Cert == "" || t.Key == "" {
		return &TLSError{ErrKeyPair}
	}
	for _, file := range []string{t.Cert, t.Key} {
		if err := checkReadable(file); err != nil { // the library's error has not the cause
			return &TLSError{err}
		}
	}
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: t.Cert, KeyFile: t.Key, CaFile: t.CA, Verify: t.CA != "",
	})
	if err != nil {
		return &TLSError{err}
	}
	o.TLS, o.TLSConfig, o.TLSTimeout = true, config, tlsTimeout
	o.TLSVerify, o.TLSCaCert = t.CA != "", t.CA
	return nil
}

func checkReadable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// The directory of the store and its lock file. Two servers on one store corrupt it.

// lockStore creates the directory if necessary, and locks it. The kernel releases
// the lock when the process ends, so a killed broker never blocks the next one.
func lockStore(store string) (*flock.Flock, error) {
	if store == "" {
		return nil, &StoreError{`""`, errors.New("no directory given")}
	}
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, &StoreError{store, err}
	}
	lock := flock.New(filepath.Join(store, "turnstile.lock"))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, &StoreError{store, err}
	case !ok:
		return nil, &StoreError{store, ErrStoreInUse}
	}
	if err := checkWritable(store, 0); err != nil {
		return nil, errors.Join(&StoreError{store, err}, lock.Unlock())
	}
	return lock, nil
}
