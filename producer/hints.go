package main

// What a user can type about an error.

import "turnstile/internal/cli"

func hint(err error) string {
	if _, ok := err.(*timeoutError); ok {
		return "check that broker and consumer run; without --timeout the producer waits for them"
	}
	if text := cli.FileHint(err); text != "" {
		return text
	}
	return cli.ServerHint(err)
}
