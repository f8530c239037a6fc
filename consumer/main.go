// Command consumer takes rows from the queue and writes them to SQLite,
// exactly once; it loads files without a queue, and proves what is stored.
package main

// consumer healthcheck: for containers that have no shell.

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"turnstile/internal/cli"
	"turnstile/internal/store"
)

func main() {
	// Half the garbage collections of the default cost 20 MiB, and save a
	// fifteenth of the CPU time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	cli.Main("consumer", cli.Dispatch(
		cli.Command{Name: "load", Run: load},
		cli.Command{Name: "verify", Run: verify},
		cli.Command{Name: "rejects", Run: rejects},
		cli.Command{Name: "healthcheck", Run: healthcheck},
		cli.Command{Name: "", Run: run},
	))
}

// database is where the rows are, unless --db says otherwise.
const database = "var/turnstile.db"

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
	locked, err := store.HasWriter(*db)
	if err != nil {
		return err
	}
	if !locked {
		return cli.WithHint(fmt.Errorf("no consumer writes to %s", *db), "does one run, and has it found a broker? its log tells")
	}
	_, err = fmt.Fprintln(env.Stdout, "ok")
	return err
}
