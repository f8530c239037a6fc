package main

// broker without a subcommand: the server and its stream, until Ctrl-C.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

const help = `
broker queues rows between producers and consumers: an embedded NATS server with JetStream.

Usage: broker [flags]
       broker healthcheck     check the health of a broker (exit status)
       broker init            create the stream on an existing NATS server or cluster
       broker credentials     create passwords for the roles

  broker                                     listen on this machine only, until Ctrl-C
  broker --store /data/queue --max-store 50GiB
  broker --sync 2s                           faster; a power failure may lose two seconds of rows

The broker acknowledges a row after it is on disk. A full queue rejects rows,
and producers retry until there is room.
`

// streamShare is the fraction of the store that the stream may use. The server
// needs the rest for its own files.
const streamShare = 0.9

// ensureTimeout bounds the creation of the stream at start. A full store takes
// several seconds to load.
const ensureTimeout = 30 * time.Second

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
	q := &queue{ctx: ctx, log: c.Log}
	c.Maintain = q.maintain
	if folder := cli.NewFolder(filepath.Join(c.Store, "x")); folder != "" && c.Store != "" {
		c.Log.Info("creating the folder of the queue", "folder", folder)
	}
	s, err := natsd.Start(c)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := printAddresses(s, c, stdout); err != nil {
		return err
	}
	err = s.Supervise(ctx)
	q.stopped(s.Store())
	return err
}

// A queue is the stream of a standalone broker.
type queue struct {
	ctx   context.Context
	log   *slog.Logger
	limit int64 // of the stream in bytes, as last reported; 0: not known yet

	size   int64 // the limit now
	now    facts
	logged facts // in the last line
	next   time.Time
}

// facts are what the broker says of its queue now and then.
type facts struct {
	messages, bytes      uint64
	oldest               time.Duration
	producers, consumers int
}

// logEvery is the least time between two lines about the queue.
const logEvery = 30 * time.Second

// maintain creates the stream, over an in-process connection, so that no client
// needs permission to create streams. It keeps the size limit of the stream within
// the space of the disk.
func (q *queue) maintain(s *natsd.Server) error {
	nc, err := s.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	room, err := s.Room()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.ctx, ensureTimeout)
	defer cancel()
	want := int64(float64(s.MaxStore()) * streamShare)
	state, err := stream.Fit(ctx, nc, want, room)
	if err != nil {
		return err
	}
	q.reportLimit(state.MaxBytes, want)
	q.size = state.MaxBytes
	clients, err := s.Clients()
	if err != nil {
		return err
	}
	q.now = facts{messages: state.Messages, bytes: state.Bytes, oldest: state.Oldest}
	for _, name := range clients {
		switch {
		case strings.HasPrefix(name, "turnstile producer "):
			q.now.producers++
		case strings.HasPrefix(name, "turnstile consumer "):
			q.now.consumers++
		}
	}
	q.reportFacts(time.Now())
	return nil
}

// reportFacts logs what is queued and who is connected, if it has changed.
func (q *queue) reportFacts(now time.Time) {
	before := q.logged
	before.oldest = q.now.oldest
	if before == q.now || now.Before(q.next) {
		return
	}
	q.logged, q.next = q.now, now.Add(logEvery)
	q.log.Info("queue", "messages", q.now.messages, "bytes", humanize.IBytes(q.now.bytes), "oldest", q.now.oldest.Round(time.Millisecond),
		"full", fmt.Sprintf("%.0f%%", 100*float64(q.now.bytes)/float64(max(q.size, 1))), "producers", q.now.producers, "consumers", q.now.consumers)
}

// stopped logs what waits in the queue while the broker does not run.
func (q *queue) stopped(store string) {
	if q.limit == 0 {
		return // it has no queue of its own
	}
	q.log.Info("stopped", "store", store, "messages", q.now.messages, "bytes", humanize.IBytes(q.now.bytes))
}

// reportLimit logs a limit that is not what the operator asked for, when it begins and
// ends, and when it has halved or doubled.
func (q *queue) reportLimit(limit, want int64) {
	before := cmp.Or(q.limit, want)
	q.limit = cmp.Or(q.limit, limit)
	if limit == before || limit != want && before != want && limit > before/2 && limit < before*2 {
		return
	}
	if q.limit = limit; limit == want {
		q.log.Info("the queue may have its full size again", "limit", humanize.IBytes(uint64(want)))
		return
	}
	q.log.Warn("the disk has less space than --max-store: the queue is full before it reaches that size",
		"limit", humanize.IBytes(uint64(limit)), "wanted", humanize.IBytes(uint64(want)))
}

// printAddresses prints the addresses of the broker and the commands that connect
// to it.
func printAddresses(s *natsd.Server, c natsd.Config, w io.Writer) error {
	text := fmt.Sprintf("broker: listening on %s, the queue is in %s (at most %s)\n", s.URL(), s.Store(), humanize.IBytes(uint64(s.MaxStore())))
	if m := s.MonitorURL(); m != "" {
		text += fmt.Sprintf("broker: health and JSON status on %s\n", m)
	}
	if !s.Standalone() {
		text += "broker: part of a cluster, or its configuration file defines users: create the stream with " + cli.Invocation("broker") + " init\n"
	}
	text += "broker: next, each in its own terminal:\n"
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
	if url != "nats://"+defaultListen {
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

// parseSize parses a size in bytes such as 8GiB. The flag is named in the error.
func parseSize(flag, s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, cli.Usagef("use a number of bytes such as 512MiB or 8GiB", "%s is %q", flag, s)
	}
	return int64(n), nil
}
