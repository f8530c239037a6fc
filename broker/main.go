// Command broker is the queue: a NATS server with JetStream in one binary, and
// the stream the rows go through.
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
	// GOGC=50 keeps the broker at 105 MiB instead of 150 while it takes in
	// millions of rows, and costs a sixth more of its CPU time.
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

const (
	listen  = "127.0.0.1:4222"
	monitor = "127.0.0.1:8222"
	most    = "8GiB"
)

// broker init: the stream on a NATS server that is not ours, or in a cluster.

const initHelp = `
broker init makes the stream MTA on a NATS server of yours, or in a cluster.

Usage: broker init [flags]

  broker init --server nats://nats.example:4222 --max-bytes 20GiB
  broker init --server nats://a:4222,nats://b:4222,nats://c:4222 --replicas 3

A stream that is there is given this size and number of replicas. A broker of
ours that stands alone needs no init.
`

func initialize(ctx context.Context, args []string, env cli.Env) (err error) {
	f := cli.NewFlags("broker init", initHelp)
	server := f.ServerFlags()
	size := f.String("max-bytes", most, "the most `BYTES` the stream may take")
	replicas := f.Int("replicas", 1, "on how many servers each row is kept")
	within := f.Duration("timeout", time.Minute, "how long it may take, a `TIME`: a cluster may still be coming up")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	bytes, err := parseSize("--max-bytes", *size)
	if err := errors.Join(err, f.NoArgs()); err != nil {
		return err
	}
	if *replicas < 1 || *replicas > 5 {
		return cli.Usagef("1, 3 or 5", "--replicas is %d", *replicas)
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

// broker credentials: passwords that nobody has thought of.

const credentialsHelp = `
broker credentials makes a random password for each role that has none yet.

Usage: broker credentials DIR

  broker credentials var/secrets
  broker --auth var/secrets/broker --listen 0.0.0.0:4222
  NATS_USER=producer NATS_PASSWORD_FILE=var/secrets/producer/password producer

DIR/ROLE/password is for one client; DIR/broker is for the broker, and has hashes.
No password is printed.
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
		_, err = fmt.Fprintln(env.Stdout, "all roles have a password already")
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "passwords made for: %s\n", strings.Join(made, ", "))
	return err
}

// broker healthcheck: for containers that have no shell.

const healthHelp = `
broker healthcheck asks a broker on this machine whether it is well.

Usage: broker healthcheck [flags]

  broker healthcheck && echo well
`

func healthcheck(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("broker healthcheck", healthHelp)
	at := f.String("monitor", monitor, "the `ADDRESS` of its --monitor")
	within := f.Duration("timeout", 5*time.Second, "how long it may take, a `TIME`")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	if err := natsd.Healthy(ctx, *at); err != nil {
		return err
	}
	_, err := fmt.Fprintln(env.Stdout, "ok")
	return err
}
