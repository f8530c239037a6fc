package main

// contention about: what a result depends on, to keep beside it.

import (
	"context"
	"io"

	"turnstile/internal/about"
	"turnstile/internal/cli"
)

const aboutHead = `Say what a result depends on: the machine, the versions, the disk and what an
fsync costs on it.

Usage:
  contention about [flags]

Keep it beside your results:

  contention about --output about.txt
  contention about --dir /mnt/data      the disk your database is on`

const aboutManual = `JSON: one document
  {"at","os","kernel","arch","cpus","cpu_model","gomaxprocs","memory_bytes",
   "go","sqlite","sqlite_driver","nats_server","nats_client",
   "file_system":{"dir","type","fsync_us","warning"},"working_directory",
   "terminal","git":{"commit","dirty"}}
  fsync_us is the median of a few, each after 4 KiB, null where it could not be
  measured. warning says so where fsync is free: in memory, or where the disk
  only says that it has written. What is not known is "", 0 or null.`

// describeMachine is a subcommand; about.Collect does the work.
func describeMachine(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("contention about", aboutHead)
	dir := f.String("dir", "var", "the folder whose disk matters: `DIR`")
	result := f.ResultFlags("text", "json")
	f.Manual(aboutManual)
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := f.NoArgs(); err != nil {
		return err
	}
	if err := result.Check(); err != nil {
		return err
	}
	info := about.Collect(ctx, *dir)
	return result.Write(env, func(w io.Writer, _ bool) error {
		if result.Format == "json" {
			return cli.WriteJSON(w, info)
		}
		_, err := io.WriteString(w, info.Text())
		return err
	})
}
