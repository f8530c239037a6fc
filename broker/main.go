// Command broker is the queue: a NATS server with JetStream in one binary, and
// the stream the rows go through.
package main

import "turnstile/internal/cli"

func main() {
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
