// Command contention lets many processes write to one SQLite file, shows
// "database is locked" as it happens, and measures what cures it.
//
// Start reading with run.go; the work is in turnstile/internal/lab.
package main

import "turnstile/internal/cli"

func main() { cli.Main("contention", run, hint) }

var run = cli.Dispatch(
	cli.Command{Name: "", Run: compare},
	cli.Command{Name: "scene", Run: scene},
	cli.Command{Name: "watch", Run: watch},
	cli.Command{Name: "report", Run: showSaved},
	cli.Command{Name: "about", Run: describeMachine},
	// Processes of trials and of scenes; not for people.
	cli.Command{Name: "child", Run: child, Hidden: true},
	cli.Command{Name: "actor", Run: actor, Hidden: true},
)
