package main

// broker init: the stream on a NATS server that is not ours, or in a cluster.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"turnstile/internal/cli"
	"turnstile/internal/stream"
)

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
	conn, err := stream.Connect(ctx, server.Config("admin", "turnstile broker init", cli.Logger(env, f.Verbose())))
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
