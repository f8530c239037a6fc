package main

// consumer healthcheck: for containers that have no shell.

import (
	"context"
	"fmt"

	"turnstile/internal/cli"
	"turnstile/internal/store"
)

const healthHelp = `
consumer healthcheck asks whether a consumer writes to a database.

Usage: consumer healthcheck [flags]

  consumer healthcheck && echo well

One that stands by is well, too: another writes. Exit status 1 if none does:
none runs, or there is no broker yet.
`

func healthcheck(_ context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer healthcheck", healthHelp)
	db := f.String("db", database, "the database `FILE`")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	locked, err := store.Locked(*db)
	if err != nil {
		return err
	}
	if !locked {
		return cli.WithHint(fmt.Errorf("no consumer writes to %s", *db), "does one run, and has it found a broker? its log tells")
	}
	_, err = fmt.Fprintln(env.Stdout, "ok")
	return err
}
