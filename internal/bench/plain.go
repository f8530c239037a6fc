package main

// "bench plain FILE DATABASE": an ordinary Go program to load a CSV file, for
// comparison. encoding/csv, database/sql, a prepared INSERT, 1,000 rows a
// transaction, a flat table of texts, WAL and synchronous FULL.

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"turnstile/internal/cli"
)

func plain(ctx context.Context, args []string, _ cli.Env) error {
	if len(args) != 2 {
		return cli.Usagef("bench plain FILE DATABASE", "%d arguments", len(args))
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	in := csv.NewReader(file)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(args[1])+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `CREATE TABLE ridership ("`+strings.Join(header, `" TEXT, "`)+`" TEXT)`); err != nil {
		return err
	}
	for err == nil {
		err = plainTransaction(ctx, db, in, "INSERT INTO ridership VALUES (?"+strings.Repeat(", ?", len(header)-1)+")")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// plainTransaction stores 1,000 rows. It returns io.EOF after the last row.
func plainTransaction(ctx context.Context, db *sql.DB, in *csv.Reader, statement string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	insert, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	var record []string
	for range 1000 {
		if record, err = in.Read(); err != nil {
			break
		}
		values := make([]any, len(record))
		for i, field := range record {
			values[i] = field
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return errors.Join(tx.Commit(), err)
}
