package store

// What a page that shows the stream asks a database that a writer is filling. All of
// it is answered by an index, or in parts: a long read keeps the WAL from being reset.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"turnstile/internal/mta"
)

// totalsPart is how many rows one read transaction of Totals reads.
const totalsPart = 20_000

// Inserted returns the count of rows that were inserted since the database was
// created. A database that only earlier versions have written has zero.
func (r *Reader) Inserted(ctx context.Context) (mta.Inserted, error) {
	n, err := readInserted(ctx, r.db)
	if err != nil {
		return n, fmt.Errorf("store: read the count of rows: %w", err)
	}
	return n, nil
}

// Stations returns the newest entry of each station complex, by its id, for at most
// limit entries. A name is cut to 100 characters: a row may have 64 KiB.
func (r *Reader) Stations(ctx context.Context, limit int) (stations map[string]mta.Station, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT station_complex_id, substr(station_complex, 1, 100), substr(borough, 1, 100), latitude, longitude
		FROM station ORDER BY id DESC LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("store: read the stations: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	stations = map[string]mta.Station{}
	for rows.Next() {
		var id string
		var name, borough sql.NullString
		var latitude, longitude sql.NullFloat64
		if err := rows.Scan(&id, &name, &borough, &latitude, &longitude); err != nil {
			return nil, fmt.Errorf("store: read the stations: %w", err)
		}
		if _, ok := stations[id]; ok {
			continue
		}
		stations[id] = mta.Station{
			ComplexID: mta.Text{S: id, Valid: true},
			Complex:   mta.Text{S: name.String, Valid: name.Valid},
			Borough:   mta.Text{S: borough.String, Valid: borough.Valid},
			Latitude:  degrees(latitude, 90),
			Longitude: degrees(longitude, 180),
		}
	}
	return stations, rows.Err()
}

// degrees leaves out what the parser would refuse. Another program may have stored an
// infinite number, which JSON does not have.
func degrees(n sql.NullFloat64, limit float64) mta.Number {
	return mta.Number{F: n.Float64, Valid: n.Valid && math.Abs(n.Float64) <= limit}
}

// Totals sum up the rides of a database.
type Totals struct {
	// Inserted is the count to which the sums belong. In a database of more than
	// 20,000 rows that is being written, a row that arrives out of order meanwhile
	// may be in the sums and not in this count.
	Inserted mta.Inserted
	Stations map[string]StationTotal // by station_complex_id
	Hours    map[int64]int64         // riders; an hour is a Ride's At divided by 3600
}

// A StationTotal sums up the rides of a station complex.
type StationTotal struct{ Rows, Riders int64 }

// Totals reads all rides in parts, or of the sources that upTo names, those up to a
// line. Between two parts it pauses as long as a part took, so that the writer can
// reset its WAL.
func (r *Reader) Totals(ctx context.Context, upTo map[string]int64) (Totals, error) {
	s := summing{
		Totals:    Totals{Stations: map[string]StationTotal{}, Hours: map[int64]int64{}},
		complexes: map[int64]string{},
	}
	start := time.Now()
	err := r.inSnapshot(ctx, func(tx *sql.Tx) (err error) {
		if s.Inserted, err = readInserted(ctx, tx); err != nil {
			return err
		}
		if s.ends, err = highestIDs(ctx, tx, upTo); err != nil {
			return err
		}
		return s.part(ctx, tx) // a small database is read in one snapshot with its count
	})
	for err == nil && len(s.ends) > 0 {
		select {
		case <-time.After(time.Since(start)):
			start = time.Now()
			err = r.inSnapshot(ctx, func(tx *sql.Tx) error { return s.part(ctx, tx) })
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return Totals{}, fmt.Errorf("store: sum up the rides: %w", err)
	}
	return s.Totals, nil
}

// inSnapshot runs f in a read transaction.
func (r *Reader) inSnapshot(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = f(tx)
	if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
		err = errors.Join(err, rollback)
	}
	return err
}

// highestIDs returns the highest id of the rides of each source that has any, or that
// of the line that upTo names.
func highestIDs(ctx context.Context, tx *sql.Tx, upTo map[string]int64) (ids []int64, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, (SELECT max(id) FROM ride WHERE id BETWEEN source.id << 32 AND source.id << 32 | 0xffffffff)
		FROM source ORDER BY source.id`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var id sql.NullInt64
		if err := rows.Scan(&name, &id); err != nil {
			return nil, err
		}
		if !id.Valid {
			continue
		}
		if line, ok := upTo[name]; ok {
			id.Int64 = min(id.Int64, id.Int64&^math.MaxUint32|line)
		}
		ids = append(ids, id.Int64)
	}
	return ids, rows.Err()
}

// A summing is what Totals has read so far.
type summing struct {
	Totals
	complexes map[int64]string // station.id to station_complex_id
	from      int64            // all ids up to it are read
	ends      []int64          // of the sources that are not read to their end
}

// part reads the next rows.
func (s *summing) part(ctx context.Context, tx *sql.Tx) error {
	for left := int64(totalsPart); left > 0 && len(s.ends) > 0; {
		end := s.ends[0]
		n, last, err := s.add(ctx, tx, max(s.from, end&^math.MaxUint32), end, left)
		if err != nil {
			return err
		}
		if left -= n; last == 0 || last == end {
			s.from, s.ends = end, s.ends[1:]
		} else {
			s.from = last
		}
	}
	return nil
}

// add adds up to limit rows with ids beyond from, up to end. It returns how many, and
// the last id. SQLite's sum() would fail where the riders exceed 64 bits.
func (s *summing) add(ctx context.Context, tx *sql.Tx, from, end, limit int64) (n, last int64, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT station, transit_at / 3600, max(id), count(*), CAST(total(ridership) AS INTEGER) FROM
		(SELECT id, station, transit_at, ridership FROM ride WHERE id > ? AND id <= ? ORDER BY id LIMIT ?) GROUP BY 1, 2`, from, end, limit)
	if err != nil {
		return 0, 0, err
	}
	type sum struct{ station, rows, riders int64 }
	var sums []sum
	for rows.Next() {
		var x sum
		var hour, id int64
		if err := rows.Scan(&x.station, &hour, &id, &x.rows, &x.riders); err != nil {
			return 0, 0, errors.Join(err, rows.Close())
		}
		sums = append(sums, x)
		s.Hours[hour] += x.riders
		n, last = n+x.rows, max(last, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, 0, err
	}
	for _, x := range sums {
		complex, ok := s.complexes[x.station]
		if !ok {
			if err := tx.QueryRowContext(ctx, "SELECT station_complex_id FROM station WHERE id = ?", x.station).Scan(&complex); err != nil {
				return 0, 0, err
			}
			s.complexes[x.station] = complex
		}
		t := s.Stations[complex]
		s.Stations[complex] = StationTotal{t.Rows + x.rows, t.Riders + x.riders}
	}
	return n, last, nil
}

// NewestRejects returns the rejects that were inserted last, newest first. Their
// records are not read.
func (r *Reader) NewestRejects(ctx context.Context, limit int) (rejects []Reject, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT ifnull(s.name, ''), x.line, x."column", x.reason
		FROM reject x LEFT JOIN source s ON s.id = x.source ORDER BY x.id DESC LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("store: read the newest rejects: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var x Reject
		if err := rows.Scan(&x.Source, &x.Line, &x.Column, &x.Reason); err != nil {
			return nil, fmt.Errorf("store: read the newest rejects: %w", err)
		}
		rejects = append(rejects, x)
	}
	return rejects, rows.Err()
}

// A FoundRow is what a database has of one line of a source.
type FoundRow struct {
	Stored  bool
	At      int64 // seconds since 1970-01-01 00:00, both in New York wall clock time
	Station string
	Name    string // "" if the file had no such column
	Riders  int64
	Reasons []string // of the rejects of this line
}

// Find looks up one line of a source.
func (r *Reader) Find(ctx context.Context, source string, line int64) (f FoundRow, err error) {
	if line < 1 || line > math.MaxUint32 {
		return f, nil
	}
	var id int64
	err = r.db.QueryRowContext(ctx, "SELECT id FROM source WHERE name = ?", source).Scan(&id)
	if err == nil {
		err = r.db.QueryRowContext(ctx, `SELECT r.transit_at, s.station_complex_id, ifnull(s.station_complex, ''), r.ridership
			FROM ride r JOIN station s ON s.id = r.station WHERE r.id = ?`, id<<32|line).Scan(&f.At, &f.Station, &f.Name, &f.Riders)
		f.Stored = err == nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("store: find line %d of %s: %w", line, source, err)
	}
	if id == 0 {
		return f, nil
	}
	rows, err := r.db.QueryContext(ctx, `SELECT reason FROM reject WHERE `+startWithin+` UNION ALL SELECT reason FROM reject WHERE `+reachInto+` LIMIT 10`,
		id, line, line, maxRun)
	if err != nil {
		return f, fmt.Errorf("store: find line %d of %s: %w", line, source, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var reason string
		if err := rows.Scan(&reason); err != nil {
			return f, fmt.Errorf("store: find line %d of %s: %w", line, source, err)
		}
		f.Reasons = append(f.Reasons, reason)
	}
	return f, rows.Err()
}
