package main

// The ways without a queue: ours, the sqlite3 shell's, and a plain program's.

import (
	"context"
	"fmt"
	"path/filepath"
)

// shellImport is sqlite3's own .import into a flat table, as safe as ours: WAL
// and synchronous FULL.
func (b *bench) shellImport(ctx context.Context, in input, dir string) (sample, error) {
	script := fmt.Sprintf("PRAGMA journal_mode=WAL;\nPRAGMA synchronous=FULL;\n.mode csv\n.import %q ridership\n", filepath.ToSlash(in.path))
	db := filepath.Join(dir, "import.db")
	return alone(ctx, in, db, "ridership", command{name: "sqlite3", path: b.shell, args: []string{"-bail", db}, stdin: script})
}

// plainProgram is what internal/bench/plain says.
func (b *bench) plainProgram(ctx context.Context, in input, dir string) (sample, error) {
	db := filepath.Join(dir, "plain.db")
	return alone(ctx, in, db, "ridership", command{name: "plain", path: b.path("plain"), args: []string{in.path, db}})
}

func (b *bench) load(args ...string) func(context.Context, input, string) (sample, error) {
	return func(ctx context.Context, in input, dir string) (sample, error) {
		db := filepath.Join(dir, "rides.db")
		return alone(ctx, in, db, "ride", b.loading(in, db, args...))
	}
}

func (b *bench) loading(in input, db string, args ...string) command {
	return command{name: "consumer load", path: b.path("consumer"), args: append([]string{"load", "--db", db, in.path}, args...)}
}

// alone runs one process that makes a database, and counts its rows.
func alone(ctx context.Context, in input, db, table string, c command) (s sample, err error) {
	seconds, u, _, err := run(ctx, c)
	if err != nil {
		return s, err
	}
	s = sample{seconds: seconds, processes: []usage{u}}
	s.database, err = counted(ctx, db, table, in.rows)
	return s, err
}
