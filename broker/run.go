package main

// The broker proper: a server, the stream in it, until Ctrl-C.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

const help = `
broker queues rows between producers and consumers: an embedded NATS server with JetStream.

Usage: broker [flags]
       broker healthcheck     is it well? (exit status)
       broker init            make the stream on a NATS server of yours
       broker credentials     make passwords for the roles

  broker                                     on this machine only, until Ctrl-C
  broker --store /data/queue --max-store 50GiB
  broker --sync 2s                           faster, and a power cut may cost two seconds of rows

A row is on disk before the producer hears that the queue has it. A full queue
refuses, and producers wait.
`

// streamShare is the part of the store that the stream may fill. The server
// needs the rest for its own files.
const streamShare = 0.9

// makeWithin is how long a store full of messages may take to be read at start.
const makeWithin = 30 * time.Second

func run(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("broker", help)
	var c natsd.Config
	f.StringVar(&c.Listen, "listen", listen, "`ADDRESS` for producers and consumers")
	f.StringVar(&c.Monitor, "monitor", monitor, "`ADDRESS` for health and JSON status over HTTP; empty for none")
	f.StringVar(&c.Store, "store", "var/broker", "the `DIR` of the queue")
	sync := f.String("sync", "always", "when rows are on disk: always, before they are acknowledged; or every `TIME`")
	size := f.String("max-store", most, "the most `BYTES` the queue may take on disk")
	f.StringVar(&c.File, "config", "", "a nats-server configuration `FILE`, for clusters and accounts")
	f.StringVar(&c.Auth, "auth", "", "the `DIR` with the password of each role (broker credentials)")
	f.StringVar(&c.TLS.Cert, "tls-cert", "", "the certificate, a PEM `FILE`")
	f.StringVar(&c.TLS.Key, "tls-key", "", "its key, a PEM `FILE`")
	f.StringVar(&c.TLS.CA, "tls-ca", "", "who signs the certificates that clients must show, a PEM `FILE`")
	f.BoolVar(&c.Insecure, "insecure", false, "listen beyond this machine without credentials")
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
		leaveToFile(&c, f)
	}
	c.Log = f.Logger(env)
	return serve(ctx, c, env.Stdout)
}

// leaveToFile takes back our defaults: what was typed wins over the
// configuration file, what was not does not.
func leaveToFile(c *natsd.Config, f *cli.Flags) {
	typed := f.Changed
	if !typed("listen") {
		c.Listen = ""
	}
	if !typed("monitor") {
		c.Monitor = ""
	}
	if !typed("sync") {
		c.Sync = -1
	}
	if !typed("max-store") {
		c.MaxStore = 0
	}
	if !typed("store") {
		c.Store = ""
	}
}

// serve runs the server until ctx ends, or the server does.
func serve(ctx context.Context, c natsd.Config, stdout io.Writer) (err error) {
	s, err := natsd.Start(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if s.Alone() {
		if err := makeStream(ctx, s); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	if err := greet(s, c, stdout); err != nil {
		return err
	}
	return s.Supervise(ctx)
}

// makeStream makes the stream from inside: no client needs the right to.
func makeStream(ctx context.Context, s *natsd.Server) error {
	nc, err := s.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	return stream.Ensure(ctx, nc, int64(float64(s.MaxStore())*streamShare), 1)
}

// greet prints where the broker listens, and the commands that connect to it.
func greet(s *natsd.Server, c natsd.Config, w io.Writer) error {
	text := fmt.Sprintf("broker: listening on %s, the queue is in %s (at most %s)\n", s.URL(), s.Store(), humanize.IBytes(uint64(s.MaxStore())))
	if m := s.MonitorURL(); m != "" {
		text += fmt.Sprintf("broker: health and JSON status on %s\n", m)
	}
	if !s.Alone() {
		text += "broker: in a cluster, or with users of its own: create the stream with " + cli.Invocation("broker") + " init\n"
	}
	text += "broker: next, each in a terminal of its own:\n"
	for _, role := range []string{"consumer", "producer"} {
		text += "broker:   " + clientCommand(role, s.URL(), c) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// clientCommand returns the command line of a client of this broker.
func clientCommand(role, url string, c natsd.Config) string {
	command := cli.Invocation(role)
	if c.Auth != "" {
		// broker credentials DIR writes DIR/broker and DIR/ROLE/password.
		file := filepath.Join(filepath.Dir(c.Auth), role, "password")
		command = fmt.Sprintf("NATS_USER=%s NATS_PASSWORD_FILE=%s %s", role, file, command)
	}
	if url != "nats://"+listen {
		command += " --server " + url
	}
	if c.TLS.Cert != "" {
		command += " --tls-ca FILE"
	}
	if c.TLS.CA != "" {
		command += " --tls-cert FILE --tls-key FILE"
	}
	return command
}

// parseSync reads always or a time.
func parseSync(s string) (time.Duration, error) {
	if s == "always" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, cli.Usagef("always, or a time such as 2s", "--sync is %q", s)
	}
	return d, nil
}

func parseSize(flag, s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, cli.Usagef("a number of bytes such as 512MiB or 8GiB", "%s is %q", flag, s)
	}
	return int64(n), nil
}
