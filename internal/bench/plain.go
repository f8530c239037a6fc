package main

// "bench plain FILE DATABASE": an ordinary Go program to load a CSV file, for
// comparison. encoding/csv, database/sql, one prepared INSERT, 1,000 rows a
// transaction, a flat table of texts, WAL and synchronous FULL.

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"io"
	"net/url"
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
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(args[1]), RawQuery: url.Values{
		"_txlock": {"immediate"}, "_pragma": {"journal_mode(WAL)", "synchronous(FULL)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	return errors.Join(plainLoad(ctx, db, csv.NewReader(file)), db.Close())
}

func plainLoad(ctx context.Context, db *sql.DB, in *csv.Reader) error {
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE ridership ("`+strings.Join(header, `" TEXT, "`)+`" TEXT)`); err != nil {
		return err
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO ridership VALUES (?"+strings.Repeat(", ?", len(header)-1)+")")
	if err != nil {
		return err
	}
	for err == nil {
		err = plainTransaction(ctx, db, insert, in)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, insert.Close())
}

// plainTransaction stores 1,000 rows. It returns io.EOF after the last row.
func plainTransaction(ctx context.Context, db *sql.DB, insert *sql.Stmt, in *csv.Reader) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	insert = tx.StmtContext(ctx, insert)
	for range 1000 {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(tx.Commit(), err)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		values := make([]any, len(record))
		for i, field := range record {
			values[i] = field
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}
