package main

// The files to load, and the folders to load them into.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // to count the rows of every database, whoever made it
)

// An input is a generated file.
type input struct {
	path string
	rows int
}

// input generates a file, once a size.
func (b *bench) input(ctx context.Context, rows int) (input, error) {
	in := input{filepath.Join(b.work, fmt.Sprintf("mta-%d.csv", rows)), rows}
	if _, err := os.Stat(in.path); err == nil {
		return in, nil
	}
	b.log.Info("generate", "rows", rows)
	_, _, _, err := run(ctx, command{name: "generate", path: b.path("generate"), args: []string{"--rows", fmt.Sprint(rows), "--output", in.path}})
	return in, err
}

// warm reads the file, so that every run finds it in memory, and has the
// system write what waits to be written.
func (in input) warm() error {
	file, err := os.Open(in.path)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, file)
	return errors.Join(err, file.Close(), settle())
}

// scratch makes an empty folder on the disk to be measured.
func (b *bench) scratch() (string, error) { return os.MkdirTemp(b.work, "run-") }

// remove removes a folder, after an error as well.
func (b *bench) remove(dir string, err error) error { return errors.Join(err, os.RemoveAll(dir)) }

// counted checks that a table has all rows: a run that lost some was no run.
// It returns the size of the database with all that belongs to it.
func counted(ctx context.Context, path, table string, want int) (bytes int64, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			bytes += info.Size()
		}
	}
	var got int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&got); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", filepath.Base(path), err)
	}
	if got != want {
		return 0, fmt.Errorf("%s has %d rows, want %d: this is no measurement", filepath.Base(path), got, want)
	}
	return bytes, nil
}
