package natsd

// From a Config to the server's own options. A configuration file is the
// server's, so all that NATS can do can be had; what the Config itself says
// wins over it.

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

// A Config says where a server listens and what it keeps. What is left zero is
// as the File has it, and else as NATS does it.
type Config struct {
	File     string        // a nats-server configuration; "" for none
	Listen   string        // host:port for clients; port 0 takes a free one
	Monitor  string        // host:port for health and metrics over HTTP; "" for none
	Store    string        // the folder of the queue; made if it is not there
	Sync     time.Duration // how often the store is synced to disk; 0: before each acknowledgement; -1: as the File has it
	MaxStore int64         // the most bytes the store may take
	Auth     string        // a folder with the password of each role; "" for none
	TLS      TLS
	Insecure bool // listen beyond loopback although anyone who gets there may do anything
	Log      *slog.Logger
}

// A setup is what a Config comes to.
type setup struct {
	*server.Options
	login nats.Option // for ourselves, in this process
	ours  bool        // the users are ours: the file names none
}

func (c Config) setup() (*setup, error) {
	o, err := c.file()
	if err != nil {
		return nil, err
	}
	// Or the library traps Ctrl-C itself and exits the process.
	o.NoSigs = true
	if o.PingInterval == 0 {
		// A takeover waits until a writer that was stopped is disconnected. With
		// the defaults that takes six minutes.
		o.PingInterval, o.MaxPingsOut = 5*time.Second, 2
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

const defaultStore = 8 << 30

// maxBuffered is how many received messages may wait for the disk. The server
// stores all of them, with an fsync each, before it delivers or acknowledges
// any. So a flood of small messages would stop all clients: with its default of
// 100,000 for half a minute. It refuses what is beyond (429), and a publisher
// retries that.
const maxBuffered = 1000

func (c Config) storage(o *server.Options) {
	o.JetStream = true
	if c.Store != "" || o.StoreDir == "" {
		o.StoreDir = c.Store // a store in /tmp, as NATS would have it, is none
	}
	if c.MaxStore != 0 {
		o.JetStreamMaxStore = c.MaxStore
	}
	if o.JetStreamMaxStore <= 0 {
		o.JetStreamMaxStore = defaultStore // or the server takes the whole disk
	}
	if o.JetStreamMaxMemory <= 0 {
		// A stream in memory is never made here; the default would reserve 3/4 of the RAM.
		o.JetStreamMaxMemory = 1 << 20
	}
	if o.StreamMaxBufferedMsgs <= 0 {
		o.StreamMaxBufferedMsgs = maxBuffered
	}
	switch {
	case c.Sync >= 0:
		o.SyncAlways, o.SyncInterval = c.Sync == 0, c.Sync
	case o.SyncInterval == 0:
		// What is acknowledged must be on disk, unless someone says otherwise.
		o.SyncAlways = true
	}
}

// listeners sets the addresses, and makes sure of each that it is free and
// ours to take.
func (c Config) listeners(o *server.Options) (err error) {
	if c.Listen != "" {
		if o.Host, o.Port, err = split(c.Listen); err != nil {
			return err
		}
	}
	if c.Monitor != "" {
		if o.HTTPHost, o.HTTPPort, err = split(c.Monitor); err != nil {
			return err
		}
	}
	open := c.Insecure || secured(o)
	if err := claim(o.Host, o.Port, open); err != nil {
		return err
	}
	if o.HTTPPort != 0 {
		host := o.HTTPHost
		if host == "" {
			host = o.Host
		}
		if err := claim(host, o.HTTPPort, open); err != nil {
			return err
		}
	}
	if o.Cluster.Port == 0 {
		return nil
	}
	// Whoever may join as a broker may do anything.
	return claim(o.Cluster.Host, o.Cluster.Port, c.Insecure || o.Cluster.Username != "" || verified(&o.Cluster))
}

// secured says whether a client must show who it is. Users of the system's
// account alone keep nobody out of the other one.
func secured(o *server.Options) bool {
	system := cmp.Or(o.SystemAccount, server.DEFAULT_SYSTEM_ACCOUNT)
	others := func(a *server.Account) bool { return a == nil || a.Name != system }
	return slices.ContainsFunc(o.Users, func(u *server.User) bool { return others(u.Account) }) ||
		slices.ContainsFunc(o.Nkeys, func(u *server.NkeyUser) bool { return others(u.Account) }) ||
		len(o.TrustedOperators) > 0 || o.Username != "" || o.Authorization != "" || o.TLSVerify || o.AuthCallout != nil
}

func verified(c *server.ClusterOpts) bool {
	return c.TLSConfig != nil && c.TLSConfig.ClientCAs != nil
}

// split takes an address apart, with the port as the server wants it.
func split(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil {
		return "", 0, &ListenError{address, err}
	}
	if port <= 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// claim makes sure that an address is free. The server would not give the
// reason as an error, so the system is asked first.
func claim(host string, port int, open bool) error {
	if host == "" {
		host = server.DEFAULT_HOST
	}
	if port == 0 {
		port = server.DEFAULT_PORT
	}
	address := net.JoinHostPort(host, strconv.Itoa(max(port, 0))) // -1: whichever is free
	if !open && !loopback(host) {
		return fmt.Errorf("natsd: %w: %s", ErrInsecure, address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return &ListenError{address, err}
	}
	return l.Close()
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dialable turns the address of a listener on all interfaces into one that can
// be dialled.
func dialable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return (&url.URL{Host: a.String()}).Host
}

// TLS for clients. Brokers among themselves have theirs in the file.

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

// The store's folder and the lock that keeps a second server off it.

// lockStore makes the folder if need be, and locks it. The lock is the
// kernel's: it ends with the process, however that ends, so that a killed
// broker never stands in the way of the next one.
func lockStore(store string) (*flock.Flock, error) {
	if store == "" {
		return nil, &StoreError{`""`, errors.New("no folder given")}
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
	if err := writable(store, 0); err != nil {
		return nil, errors.Join(&StoreError{store, err}, lock.Unlock())
	}
	return lock, nil
}

// writable tries to write size bytes to a new file. A lock file that exists can
// be locked in a folder that is read-only, so only a write tells.
func writable(store string, size int) error {
	f, err := os.CreateTemp(store, "turnstile-probe-*")
	if err != nil {
		return err
	}
	data := make([]byte, size)
	_, err = rand.Read(data) // a file system may compress zeros
	if err == nil && size > 0 {
		_, err = f.Write(data)
		err = errors.Join(err, f.Sync())
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
