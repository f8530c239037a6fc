package main

// The processes of a trial are this same program.

import (
	"context"

	"turnstile/internal/cli"
	"turnstile/internal/lab"
)

func child(ctx context.Context, _ []string, env cli.Env) error {
	return lab.Child(ctx, env.Stdin, env.Stdout)
}
