// Command consumer takes rows from the queue and writes them to SQLite,
// exactly once. It also loads files without a queue, and verifies what is
// stored.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/store"
)

func main() {
	// GOGC=200 halves the number of garbage collections. It saves 7 % of CPU
	// time and costs 20 MiB.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	// Twice the live heap is mostly 82 MiB. The limit costs nothing then; it holds
	// where messages of half a million bad records make the heap large for a moment.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(112 << 20)
	}
	cli.Main("consumer", cli.Dispatch(
		cli.Command{Name: "load", Run: load},
		cli.Command{Name: "verify", Run: verify},
		cli.Command{Name: "rejects", Run: rejects},
		cli.Command{Name: "query", Run: query},
		cli.Command{Name: "page", Run: page},
		cli.Command{Name: "healthcheck", Run: healthcheck},
		cli.Command{Name: "", Run: run},
	), hint)
}

// defaultDatabase is the value of --db.
const defaultDatabase = "var/turnstile.db"

const healthHelp = `
consumer healthcheck asks whether a consumer is the writer of a database.

Usage: consumer healthcheck [flags]

  consumer healthcheck && echo healthy

It looks at the writer's lock alone, so a hot standby is healthy, too, and so is a
writer that has lost its broker: it reconnects by itself. /healthz of consumer
--http says that. Exit status 1 if no consumer is the writer, because none runs,
it has not reached a broker yet, or it is stopped.
`

// healthcheck is for containers that have no shell.
func healthcheck(_ context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer healthcheck", healthHelp)
	db := f.String("db", defaultDatabase, "the database `FILE`")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	writer, holder, err := store.HasWriter(*db)
	if err != nil {
		return err
	}
	if writer && holderState(holder).Halted() {
		return cli.WithHint(fmt.Errorf("the consumer that writes to %s is stopped: process %d, the writer since %s",
			*db, holder.PID, holder.Since.Local().Format(time.DateTime)), haltedHint(holder))
	}
	if !writer {
		return cli.WithHint(fmt.Errorf("no consumer writes to %s", *db), "start one, or read its log: it may wait for a broker")
	}
	_, err = fmt.Fprintln(env.Stdout, "ok")
	return err
}
