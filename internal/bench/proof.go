package main

// A file that is stored: how long it takes to prove it, and to load it again.

import (
	"context"
	"path/filepath"
)

func (b *bench) proof(ctx context.Context) error {
	for _, rows := range b.rows {
		in, err := b.input(ctx, rows)
		if err != nil {
			return err
		}
		if err := b.proofOf(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) proofOf(ctx context.Context, in input) (err error) {
	stored, err := b.scratch()
	if err != nil {
		return err
	}
	defer func() { err = b.remove(stored, err) }()
	db := filepath.Join(stored, "rides.db")
	if _, _, _, err := run(ctx, b.loading(in, db, "--verify=false")); err != nil {
		return err
	}
	again := func(c command) func(context.Context, input, string) (sample, error) {
		return func(ctx context.Context, in input, _ string) (sample, error) { return alone(ctx, in, db, "ride", c) }
	}
	c := comparison{Name: "proof", Title: "a file that is stored already", Note: "Both read and parse the whole file, and look at every stored row."}
	return b.alternate(ctx, c, in, []subject{
		{"verify", again(command{name: "consumer verify", path: b.path("consumer"), args: []string{"verify", "--db", db, in.path}})},
		{"replay", again(b.loading(in, db, "--verify=false"))},
	})
}
