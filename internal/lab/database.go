package lab

// The database of a trial: made before its processes start, looked into when
// they are gone.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"turnstile/internal/store"
)

func databaseIn(place string) string { return filepath.Join(place, "rides.db") }

// createDatabase makes the pipeline's own tables, empty, and fills in what all
// rows refer to, so that a strategy pays for its rides alone.
func createDatabase(ctx context.Context, place string, s Setting) error {
	path := databaseIn(place)
	if err := store.Create(ctx, path, find(s.Strategy).Journal); err != nil {
		return fmt.Errorf("lab: create the database: %w", err)
	}
	if err := fill(ctx, path); err != nil {
		return fmt.Errorf("lab: fill the database: %w", err)
	}
	return nil
}

func fill(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, time.Second, "full"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	if _, err = tx.ExecContext(ctx, `INSERT INTO source (id, name, columns, first_seen) VALUES (?, ?, ?, ?)`,
		source, sourceName, columns, time.Now().UTC().Format(time.DateTime)); err != nil {
		return err
	}
	for i, s := range stations {
		if _, err = tx.ExecContext(ctx, `INSERT INTO station (id, station_complex_id, station_complex, borough,
			transit_mode, latitude, longitude, georeference) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			i+1, s.ComplexID.S, s.Complex.S, s.Borough.S, s.Mode.S, s.Latitude.F, s.Longitude.F, s.Georeference.S); err != nil {
			return err
		}
	}
	for i, f := range fares {
		if _, err = tx.ExecContext(ctx, `INSERT INTO fare (id, payment_method, fare_class_category) VALUES (?, ?, ?)`,
			i+1, f.PaymentMethod.S, f.FareClass.S); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// tableRows are the rows that are stored, counted from 0 for each process.
type tableRows map[int]map[int]bool

func (t tableRows) has(process, n int) bool { return t[process][n] }

func (t tableRows) rows() int {
	n := 0
	for _, rows := range t {
		n += len(rows)
	}
	return n
}

func readTable(ctx context.Context, place string, s Setting) (t tableRows, err error) {
	db, err := sql.Open("sqlite", dsn(databaseIn(place), time.Second, "full"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `SELECT id FROM ride`)
	if err != nil {
		return nil, fmt.Errorf("lab: count the rows: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	t = tableRows{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		process, n := s.owner(row(id & 0xffffffff))
		if t[process] == nil {
			t[process] = map[int]bool{}
		}
		t[process][n] = true
	}
	return t, rows.Err()
}
