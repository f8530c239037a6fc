package lab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // SQLite without cgo, for every system we build for

	"turnstile/internal/lab/report"
	"turnstile/internal/store"
)

// connection is one connection to the database, as the strategies use it: plain
// SQL, each statement prepared once.
//
// Its calls take no context. A context that can end costs the driver a
// goroutine a statement, and a process that must stop abandons its statement
// and ends (see RunChild).
type connection struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	released   func() // called when COMMIT or ROLLBACK has returned
}

// dataSource is the DSN of a trial's database. The file must exist, so that a
// misspelt name is an error.
func dataSource(path string, timeout time.Duration, sync string) string {
	return store.DataSource(path, "rw", timeout, "synchronous("+sync+")")
}

func (p *process) connect() (*connection, error) {
	db, err := sql.Open("sqlite", dataSource(p.job.Database, p.job.Timeout(), p.job.Sync))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &connection{db, conn, map[string]*sql.Stmt{}, p.rec.released}, nil
}

func (c *connection) close() error { return errors.Join(c.conn.Close(), c.db.Close()) }

func (c *connection) exec(query string, args ...any) error {
	s, ok := c.statements[query]
	if !ok {
		var err error
		if s, err = c.conn.PrepareContext(context.Background(), query); err != nil {
			return err
		}
		c.statements[query] = s
	}
	_, err := s.Exec(args...)
	return err
}

// transaction runs the body between begin and COMMIT. It does not retry: after
// an error it rolls back.
func (c *connection) transaction(begin string, body func() error) error {
	if err := c.exec(begin); err != nil {
		return err
	}
	defer c.released()
	err := body()
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		// A COMMIT that fails with SQLITE_BUSY leaves the transaction open and
		// keeps the lock: all others would wait for nothing.
		return errors.Join(err, c.exec("ROLLBACK"))
	}
	return nil
}

const insertRide = `INSERT INTO ride (id, transit_at, station, fare, ridership, transfers) VALUES (?, ?, ?, ?, ?, ?)`

func (c *connection) insert(r row) error {
	v := r.ride()
	return c.exec(insertRide, v.id, v.at, v.station, v.fare, v.ridership, v.transfers)
}

func databasePath(dir string) string { return filepath.Join(dir, "rides.db") }

// createDatabase creates the pipeline's own tables, empty, and inserts what all
// rows refer to, so that a strategy pays for its rides alone.
func createDatabase(ctx context.Context, dir string, s report.Setting) error {
	path := databasePath(dir)
	if err := store.Create(ctx, path, report.Find(s.Strategy).Journal); err != nil {
		return fmt.Errorf("lab: create the database: %w", err)
	}
	if err := insertDimensions(ctx, path); err != nil {
		return fmt.Errorf("lab: fill the database: %w", err)
	}
	return nil
}

func insertDimensions(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dataSource(path, time.Second, "full"))
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
		sourceID, sourceName, columns, time.Now().UTC().Format(time.DateTime)); err != nil {
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

// readStoredRows reads which rows of which processes are in the table.
func readStoredRows(ctx context.Context, dir string, s report.Setting) (stored report.StoredRows, err error) {
	db, err := sql.Open("sqlite", dataSource(databasePath(dir), time.Second, "full"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `SELECT id FROM ride`)
	if err != nil {
		return nil, fmt.Errorf("lab: count the rows: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	stored = report.StoredRows{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		stored.Add(ownerOf(s, row(id&0xffffffff)))
	}
	return stored, rows.Err()
}
