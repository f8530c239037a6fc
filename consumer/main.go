// Command consumer takes rows from the queue and writes them to SQLite,
// exactly once; it loads files without a queue, and proves what is stored.
package main

import (
	"os"
	"runtime/debug"

	"turnstile/internal/cli"
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
