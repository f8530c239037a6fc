package store

// One batch, one transaction.
// The ids of sources, stations and fares, so that a row costs no look-up.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"turnstile/internal/mta"
)

// Write stores a batch in one transaction and returns what became of each
// part. When it returns, the batch is on disk. After an error nothing of it is
// stored, or all of it and only the answer was lost; the same batch may be
// written again. See [Passes] for which errors that is worth it.
func (d *DB) Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	// Only BEGIN waits, for another's lock. A context that can end costs the
	// driver a goroutine for each statement, and that a quarter of the time of
	// a transaction of one row.
	w := &writing{DB: d, ctx: context.WithoutCancel(ctx), batch: b, outcomes: make([]mta.Outcome, len(b.Parts))}
	if err := d.connected(ctx); err != nil {
		return nil, err
	}
	if err := transact(ctx, d.conn, w.all); err != nil {
		return nil, errors.Join(fmt.Errorf("store: write %d rows: %w", b.Rows(), err), d.reset())
	}
	if err := d.moved(); err != nil {
		return nil, err
	}
	if err := d.watchWAL(ctx); err != nil {
		// The batch is stored. Whatever this was, the next Write meets it.
		d.log.Warn("can't look after the WAL", "error", err)
	}
	return w.outcomes, nil
}

// moved looks whether the rows went where others will look for them.
func (d *DB) moved() error {
	if now, err := os.Stat(d.path); err != nil || !os.SameFile(now, d.file) {
		return &MovedError{d.path}
	}
	return nil
}

// A writing is a transaction in the making.
type writing struct {
	*DB
	ctx      context.Context
	batch    *mta.Batch
	outcomes []mta.Outcome
}

// all is the whole of a transaction between BEGIN and COMMIT.
func (w *writing) all() error {
	var version int64
	if err := w.query(w.ctx, &version, "PRAGMA data_version"); err != nil {
		return err
	}
	w.cache.refresh(version, w.batch.Dims.Epoch)
	for _, source := range w.sources() {
		if err := w.source(source); err != nil {
			return fmt.Errorf("source %s: %w", source, err)
		}
	}
	if w.failCommit != nil {
		return w.failCommit()
	}
	return nil
}

// sources are the data sets of the batch, in order of arrival.
func (w *writing) sources() (names []string) {
	seen := map[string]bool{}
	for i := range w.batch.Parts {
		p := &w.batch.Parts[i]
		if !seen[p.Source] && len(p.Rides)+len(p.Rejects) > 0 {
			seen[p.Source] = true
			names = append(names, p.Source)
		}
	}
	return names
}

// source stores what the batch has of one data set.
func (w *writing) source(name string) error {
	id, err := w.sourceID(name)
	if err != nil {
		return err
	}
	rows, err := w.rows(name, id)
	if err != nil {
		return err
	}
	s := &settling{writing: w, source: id, name: name, rows: rows, fate: make([]fate, len(rows))}
	defer func() {
		w.table.hide()
		clear(rows) // or the memory of the cache would keep the rides
	}()
	if err := s.insert(); err != nil {
		return err
	}
	return s.rejects()
}

func (w *writing) sourceID(name string) (int64, error) {
	if id, ok := w.cache.sources[name]; ok {
		return id, nil
	}
	columns := ""
	for i := range w.batch.Parts {
		if w.batch.Parts[i].Source == name {
			columns = w.batch.Parts[i].Columns
			break
		}
	}
	var id int64
	err := w.query(w.ctx, &id, `INSERT INTO source (name, columns, first_seen) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET name = name RETURNING id`, name, columns, now())
	if err != nil {
		return 0, err
	}
	w.cache.sources[name] = id
	return id, nil
}

// rows lists the rides of a data set with the ids they are stored under.
func (w *writing) rows(name string, source int64) ([]row, error) {
	rows := w.cache.rows[:0]
	for i := range w.batch.Parts {
		p := &w.batch.Parts[i]
		if p.Source != name {
			continue
		}
		for j := range p.Rides {
			r := &p.Rides[j]
			station, err := w.station(r.Station)
			if err != nil {
				return nil, err
			}
			fare, err := w.fare(r.Fare)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{r, i, source<<32 | int64(r.Line), station, fare})
		}
	}
	w.cache.rows = rows
	return rows, nil
}

// exec runs a statement that is prepared once a connection.
func (d *DB) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := d.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (d *DB) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := d.st[query]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	d.st[query] = s
	return s, nil
}

// query reads one number.
func (d *DB) query(ctx context.Context, into *int64, query string, args ...any) error {
	s, err := d.statement(ctx, query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(into)
}

// A cache knows ids. The id of an insert that was rolled back is given to
// another row, so a cache does not outlive a failed transaction (see reset),
// nor a change that another connection made.
type cache struct {
	epoch    uint64 // of the dimensions that stations and fares are indexed by
	seen     int64  // PRAGMA data_version: other connections' commits
	sources  map[string]int64
	stations []int64 // by index in Dimensions.Stations; 0: not known yet
	fares    []int64

	rows []row // kept for its memory only
}

// mostSources bounds what is remembered of sources; stations and fares are
// bounded by whoever numbers them.
const mostSources = 1 << 12

// refresh forgets what may no longer be so. It is called inside the write
// transaction: nothing can change after it.
func (c *cache) refresh(version int64, epoch uint64) {
	if c.sources == nil || c.seen != version || len(c.sources) > mostSources {
		*c = cache{epoch: epoch, seen: version, sources: map[string]int64{}, rows: c.rows}
	}
	if c.epoch != epoch {
		c.epoch, c.stations, c.fares = epoch, nil, nil
	}
}

// at grows a table of ids to have n, and returns the id there.
func at(ids *[]int64, n uint32) *int64 {
	for int(n) >= len(*ids) {
		*ids = append(*ids, 0)
	}
	return &(*ids)[n]
}

func (w *writing) station(n uint32) (int64, error) {
	id := at(&w.cache.stations, n)
	if *id != 0 {
		return *id, nil
	}
	// Setting a column to itself makes RETURNING give the id of a row that is
	// there already.
	err := w.query(w.ctx, id, `INSERT INTO station (station_complex_id, station_complex, borough, transit_mode, latitude, longitude, georeference)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET borough = borough RETURNING id`, stationValues(w.batch.Dims.Stations[n])...)
	return *id, err
}

func (w *writing) fare(n uint32) (int64, error) {
	id := at(&w.cache.fares, n)
	if *id != 0 {
		return *id, nil
	}
	err := w.query(w.ctx, id, `INSERT INTO fare (payment_method, fare_class_category) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET payment_method = payment_method RETURNING id`, fareValues(w.batch.Dims.Fares[n])...)
	return *id, err
}

func stationValues(s mta.Station) []any {
	return []any{
		text(s.ComplexID), text(s.Complex), text(s.Borough), text(s.Mode),
		number(s.Latitude), number(s.Longitude), text(s.Georeference),
	}
}

func fareValues(f mta.Fare) []any { return []any{text(f.PaymentMethod), text(f.FareClass)} }

func text(t mta.Text) sql.NullString { return sql.NullString{String: t.S, Valid: t.Valid} }

func number(n mta.Number) sql.NullFloat64 { return sql.NullFloat64{Float64: n.F, Valid: n.Valid} }
