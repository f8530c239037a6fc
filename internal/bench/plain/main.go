// Command plain is what a competent user would write to get a CSV file into
// SQLite: encoding/csv, database/sql, one prepared INSERT, transactions of
// 1,000 rows, a flat table of texts, WAL and synchronous FULL. It is measured
// against turnstile and used for nothing else.
package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	"turnstile/internal/cli"
)

const usage = `
plain loads a CSV file into a flat table of SQLite, the plain way.

Usage: plain FILE DATABASE
`

const rowsPerTransaction = 1000

func main() { cli.Main("plain", run, nil) }

func run(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("plain", usage)
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if f.NArg() != 2 {
		return cli.Usagef("plain FILE DATABASE", "%d arguments", f.NArg())
	}
	file, err := os.Open(f.Arg(0))
	if err != nil {
		return err
	}
	defer file.Close()
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(f.Arg(1)), RawQuery: url.Values{
		"_txlock": {"immediate"}, "_pragma": {"journal_mode(WAL)", "synchronous(FULL)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	return errors.Join(load(ctx, db, csv.NewReader(file)), db.Close())
}

func load(ctx context.Context, db *sql.DB, in *csv.Reader) error {
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return err
	}
	columns := `"` + strings.Join(header, `" TEXT, "`) + `" TEXT`
	if _, err := db.ExecContext(ctx, "CREATE TABLE ridership ("+columns+")"); err != nil {
		return err
	}
	insert, err := db.PrepareContext(ctx, "INSERT INTO ridership VALUES (?"+strings.Repeat(", ?", len(header)-1)+")")
	if err != nil {
		return err
	}
	values := make([]any, len(header))
	for err == nil {
		err = transaction(ctx, db, insert, in, values)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, insert.Close())
}

// transaction stores the next rows. It returns io.EOF once there are no more.
func transaction(ctx context.Context, db *sql.DB, insert *sql.Stmt, in *csv.Reader, values []any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	insert = tx.StmtContext(ctx, insert)
	end := error(nil)
	for range rowsPerTransaction {
		var record []string
		if record, end = in.Read(); end != nil {
			break
		}
		for i, field := range record {
			values[i] = field
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if end != nil && !errors.Is(end, io.EOF) {
		return errors.Join(fmt.Errorf("read: %w", end), tx.Rollback())
	}
	return errors.Join(tx.Commit(), end)
}
