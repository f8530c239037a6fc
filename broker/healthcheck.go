package main

// broker healthcheck: for containers that have no shell.

import (
	"context"
	"fmt"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
)

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
