package main

// broker credentials: passwords that nobody has thought of.

import (
	"context"
	"fmt"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/natsd"
)

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
