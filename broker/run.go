package main

// broker without a subcommand: the server and its stream, until Ctrl-C.

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
)

const help = `
broker queues rows between producers and consumers: an embedded NATS server with
JetStream.

Usage: broker [flags]
       broker healthcheck     check the health of a broker (exit status)
       broker init            create the stream on an existing server or cluster
       broker credentials     create passwords for the roles

  broker                  listen on this machine only, until Ctrl-C
  broker --store /data/queue --max-store 50GiB
  broker --sync 2s        faster; a power failure may lose two seconds of rows

The broker acknowledges a row after it is on disk. A full queue rejects rows,
and producers retry until there is room.
`

func run(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("broker", help)
	var c natsd.Config
	f.StringVar(&c.Listen, "listen", defaultListen, "`ADDRESS` for producers and consumers")
	f.StringVar(&c.Monitor, "monitor", defaultMonitor, "`ADDRESS` for health and JSON status over HTTP; empty for none")
	f.StringVar(&c.Store, "store", "var/broker", "data `DIR` of the queue")
	sync := f.String("sync", "always", "when to fsync rows: always (before each acknowledgement), or every `TIME`")
	size := f.String("max-store", defaultMaxStore, "disk space limit of the queue in `BYTES`")
	f.StringVar(&c.File, "config", "", "nats-server configuration `FILE`, for clusters and accounts")
	f.StringVar(&c.Auth, "auth", "", "`DIR` with a password hash for each role (from broker credentials)")
	f.StringVar(&c.TLS.Cert, "tls-cert", "", "certificate of the broker, a PEM `FILE`")
	f.StringVar(&c.TLS.Key, "tls-key", "", "private key of the certificate, a PEM `FILE`")
	f.StringVar(&c.TLS.CA, "tls-ca", "", "require client certificates signed by this authority, a PEM `FILE`")
	f.BoolVar(&c.Insecure, "insecure", false, "listen on other than loopback addresses without authentication")
	f.Advanced("config", "auth", "tls-cert", "tls-key", "tls-ca", "insecure")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	var err error
	if c.Sync, err = parseSync(*sync); err != nil {
		return err
	}
	if c.MaxStore, err = parseSize("--max-store", *size); err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	if c.File != "" {
		clearDefaults(&c, f)
	}
	c.Log = f.Logger(env)
	return serve(ctx, c, env.Stdout)
}

// clearDefaults clears the settings whose flags were not given. A given flag
// overrides the configuration file; the default of a flag does not.
func clearDefaults(c *natsd.Config, f *cli.Flags) {
	if !f.Changed("listen") {
		c.Listen = ""
	}
	if !f.Changed("monitor") {
		c.Monitor = ""
	}
	if !f.Changed("sync") {
		c.Sync = -1
	}
	if !f.Changed("max-store") {
		c.MaxStore = 0
	}
	if !f.Changed("store") {
		c.Store = ""
	}
}

// serve runs the server until ctx ends or the server fails.
func serve(ctx context.Context, c natsd.Config, stdout io.Writer) (err error) {
	q := newQueue(ctx, c.Log)
	c.Maintain, c.Observe = q.maintain, q.observe
	folder := cli.NewFolder(filepath.Join(c.Store, "x"))
	s, err := natsd.Start(c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if folder != "" {
		c.Log.Info("created the folder of the queue", "folder", folder)
	}
	if err := printAddresses(s, c, stdout); err != nil {
		return err
	}
	err = s.Supervise(ctx)
	q.stopped(s)
	return err
}

// printAddresses prints the addresses of the broker and the commands that connect
// to it.
func printAddresses(s *natsd.Server, c natsd.Config, w io.Writer) error {
	text := "broker: listening on " + s.URL()
	if s.EveryAddress() {
		text += " and every other address of this machine"
	}
	text += fmt.Sprintf(", the queue is in %s (at most %s)\n", s.Store(), humanize.IBytes(uint64(s.MaxStore())))
	if m := s.MonitorURL(); m != "" {
		text += fmt.Sprintf("broker: health and JSON status on %s\n", m)
	}
	if !s.Standalone() {
		text += "broker: part of a cluster, or its configuration file defines users: create the stream with " + initCommand() + "\n"
	}
	if !cli.InContainer() { // there the others are services, too
		text += "broker: next, each in its own terminal:\n"
		for _, role := range []string{"consumer", "producer"} {
			text += "broker:   " + clientCommand(role, s.URL(), c) + "\n"
		}
	}
	return cli.WriteText(w, text)
}

// initCommand returns what creates the stream.
func initCommand() string {
	if cli.InContainer() {
		return "broker init, as docker-compose's service cluster-init does"
	}
	return cli.Invocation("broker") + " init"
}

// clientCommand returns the command line of a client of this broker.
func clientCommand(role, url string, c natsd.Config) string {
	command := cli.Invocation(role)
	if c.Auth != "" {
		// broker credentials DIR writes DIR/broker and DIR/ROLE/password.
		file := filepath.Join(filepath.Dir(c.Auth), role, "password")
		command = fmt.Sprintf("NATS_USER=%s NATS_PASSWORD_FILE=%s %s", role, file, command)
	}
	if url != "nats://"+defaultListen {
		command += " --server " + url
	}
	if c.TLS.Cert != "" {
		command += " --tls-ca " + authority(c.TLS.Cert)
	}
	if c.TLS.CA != "" {
		command += " --tls-cert FILE --tls-key FILE"
	}
	return command
}

// authority returns the certificate by which clients know that of the broker: itself, if
// nobody else signed it.
func authority(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "FILE"
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "FILE"
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return "FILE"
	}
	return cli.ShellQuote(file)
}

// parseSync parses the value of --sync: "always" or a duration. It returns 0 for
// "always".
func parseSync(s string) (time.Duration, error) {
	if s == "always" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, cli.Usagef("use --sync always, or a time such as --sync 2s", "--sync is %q", s)
	}
	return d, nil
}

// minSize is less than any queue of use, and more than a number without a unit.
const minSize = 1 << 20

// parseSize parses a size in bytes such as 8GiB. The flag is named in the error.
func parseSize(flag, s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < minSize || n > math.MaxInt64 {
		return 0, cli.Usagef("use a size of 1MiB or more, with its unit, such as 512MiB or 8GiB", "%s is %q", flag, s)
	}
	return int64(n), nil
}
