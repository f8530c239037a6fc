// Command broker runs the queue: an embedded NATS server with JetStream, and the
// stream that carries the rows.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
	"turnstile/internal/stream"
)

func main() {
	// GOGC=50 keeps the broker at 105 MiB instead of 150 MiB while it receives
	// millions of rows. It costs a sixth more CPU time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	cli.Main("broker", cli.Dispatch(
		cli.Command{Name: "healthcheck", Run: healthcheck},
		cli.Command{Name: "init", Run: initialize},
		cli.Command{Name: "credentials", Run: credentials},
		cli.Command{Name: "", Run: run},
	), hint)
}

// Defaults of the flags.
const (
	defaultListen   = "127.0.0.1:4222"
	defaultMonitor  = "127.0.0.1:8222"
	defaultMaxStore = "8GiB"
)

// broker init: the stream on an external NATS server, or in a cluster.

const initHelp = `
broker init creates the stream MTA on an existing NATS server or cluster.

Usage: broker init [flags]

  broker init --server nats://nats.example:4222 --max-bytes 20GiB
  broker init --server nats://a:4222,nats://b:4222,nats://c:4222 --replicas 3

An existing stream gets this size and number of replicas. A single broker
creates its stream at start and needs no init.
`

func initialize(ctx context.Context, args []string, env cli.Env) (err error) {
	f := cli.NewFlags("broker init", initHelp)
	server := f.ServerFlags()
	size := f.String("max-bytes", defaultMaxStore, "size limit of the stream in `BYTES`")
	replicas := f.Int("replicas", 1, "number of servers that store each row: 1, 3 or 5")
	within := f.Duration("timeout", time.Minute, "stop waiting after this `TIME`; a cluster may still be starting")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	bytes, err := parseSize("--max-bytes", *size)
	if err := errors.Join(err, f.NoArgs()); err != nil {
		return err
	}
	if *replicas < 1 || *replicas > 5 {
		return cli.Usagef("use --replicas 1, 3 or 5", "--replicas is %d", *replicas)
	}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	conn, err := stream.Connect(ctx, server.Config("admin", "turnstile broker init", f.Logger(env)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Ensure(ctx, bytes, *replicas); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "stream %s: at most %s, %d replicas\n", stream.Name, humanize.IBytes(uint64(bytes)), *replicas)
	return err
}

// broker credentials: random passwords for the roles.

const credentialsHelp = `
broker credentials creates a random password for each role without one.

Usage: broker credentials DIR

  broker credentials var/secrets
  broker --auth var/secrets/broker --listen 0.0.0.0:4222
  NATS_USER=producer NATS_PASSWORD_FILE=var/secrets/producer/password producer

DIR/ROLE/password is the password of one role. DIR/broker holds the hashes for
the broker. No password is printed.
`

func credentials(_ context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("broker credentials", credentialsHelp)
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		return cli.Usagef("broker credentials var/secrets", "want one DIR, got %d", f.NArg())
	}
	made, err := natsd.WriteCredentials(f.Arg(0))
	if err != nil {
		return err
	}
	if len(made) == 0 {
		_, err = fmt.Fprintln(env.Stdout, "all roles already have a password")
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "created passwords for: %s\n", strings.Join(made, ", "))
	return err
}

// broker healthcheck: a health check for containers without a shell.

const healthHelp = `
broker healthcheck asks whether a broker is healthy and its queue can take a
row. Exit status: 0 yes, 1 no.

Usage: broker healthcheck [flags]

  broker healthcheck && echo healthy

A full queue is a reason to start a consumer, not to restart the broker. What
restarts it should ask /healthz of its monitoring address.
`

func healthcheck(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("broker healthcheck", healthHelp)
	address := f.String("monitor", defaultMonitor, "monitoring `ADDRESS` of the broker, as in its --monitor")
	within := f.Duration("timeout", 5*time.Second, "stop waiting after this `TIME`")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	if err := checkQueue(ctx, *address); err != nil {
		return err
	}
	_, err := fmt.Fprintln(env.Stdout, "ok")
	return err
}

// checkQueue returns an error unless the broker is healthy and its queue can take a
// row.
func checkQueue(ctx context.Context, monitor string) error {
	if err := natsd.CheckHealth(ctx, monitor); err != nil {
		return err
	}
	held, err := natsd.AskQueue(ctx, monitor, stream.Name)
	if e, ok := errors.AsType[*natsd.NoStreamError](err); ok && e.Clustered {
		return nil // it is on other servers, or broker init has not run yet
	}
	if err != nil {
		return err
	}
	err = checkRoom(held)
	if full, ok := errors.AsType[*fullError](err); ok && !cli.InContainer() {
		// An error leaves the address out of the hint.
		full.url, _ = natsd.AskURL(ctx, monitor)
	}
	return err
}
