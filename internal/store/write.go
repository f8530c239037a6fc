package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"turnstile/internal/mta"

	sqlite3 "modernc.org/sqlite/lib"
)

// Write stores b in one transaction and returns one Outcome per part. When it
// returns, the batch is on disk. After an error either nothing of the batch is
// stored, or all of it is and only the result was lost; the caller may write
// the same batch again. [IsTransient] tells when a retry makes sense.
func (d *DB) Write(ctx context.Context, b *mta.Batch) ([]mta.Outcome, error) {
	// Only BEGIN waits for a lock and needs ctx. For a context that can end the
	// driver starts a goroutine per statement, which costs a quarter of the
	// time of a transaction of one row.
	w := &writeTx{DB: d, ctx: context.WithoutCancel(ctx), batch: b, outcomes: make([]mta.Outcome, len(b.Parts))}
	if err := d.transaction(ctx, w.run, fmt.Sprintf("write %d rows", b.Rows())); err != nil {
		return nil, err
	}
	return w.outcomes, nil
}

// transaction runs f in a write transaction, and checks afterwards that the files of
// the database are in their places. doing describes f in an error.
func (d *DB) transaction(ctx context.Context, f func() error, doing string) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	err := inWriteTx(ctx, d.conn, f)
	if err != nil {
		err = errors.Join(d.nameTriggers(context.WithoutCancel(ctx), fmt.Errorf("%s: %w", doing, err)), d.disconnect())
	}
	d.Ended()
	if err != nil {
		return err
	}
	if err := d.checkFiles(ctx); err != nil {
		return err
	}
	if err := d.warnOfLargeWAL(ctx); err != nil {
		// The batch is stored. If the cause persists, the next Write fails.
		d.Log.Warn("cannot check the size of the WAL", "error", err)
	}
	return nil
}

// nameTriggers returns a [*TriggerError] if triggers may have caused err.
func (d *DB) nameTriggers(ctx context.Context, err error) error {
	if primaryCode(err) != sqlite3.SQLITE_CONSTRAINT {
		return err
	}
	if triggers := d.triggers(ctx); len(triggers) > 0 {
		return &TriggerError{triggers, err}
	}
	return err
}

// triggers lists the triggers of the database. Turnstile creates none.
func (d *DB) triggers(ctx context.Context) (list []string) {
	rows, err := d.conn.QueryContext(ctx, "SELECT name || ' on ' || tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
	if err != nil {
		return nil // the caller has another error to report
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if rows.Scan(&name) == nil {
			list = append(list, name)
		}
	}
	return list
}

// A writeTx is the write transaction of one batch.
type writeTx struct {
	*DB
	ctx      context.Context
	batch    *mta.Batch
	outcomes []mta.Outcome // one per part
	rejects  int64         // lines of rejects that were inserted
}

// run is what happens between BEGIN and COMMIT.
func (w *writeTx) run() error {
	if err := w.begin(); err != nil {
		return err
	}
	for _, source := range w.sources() {
		if err := w.writeSource(source); err != nil {
			return fmt.Errorf("source %s: %w", source, err)
		}
	}
	if err := w.writeMark(); err != nil {
		return err
	}
	if err := w.writeInserted(); err != nil {
		return err
	}
	if w.failCommit != nil {
		return w.failCommit()
	}
	return nil
}

// begin drops cached ids that another connection may have changed.
func (w *writeTx) begin() error {
	w.Begun()
	var version int64
	if err := w.queryInt(w.ctx, &version, "PRAGMA data_version"); err != nil {
		return err
	}
	w.ids.invalidate(version, w.batch.Dims.Epoch)
	return nil
}

// markName is the name of the mark in meta. Its value is the stream's time of
// creation and the sequence, separated by a space.
const markName = "stored_up_to"

// writeMark stores the mark of the batch. The mark never goes back in its
// stream: redelivered messages have lower sequences than the stored one.
func (w *writeTx) writeMark() error {
	if w.batch.Mark == (mta.Mark{}) {
		return nil
	}
	if w.ids.mark == nil {
		stored, err := readMark(w.ctx, w.conn)
		if err != nil {
			return err
		}
		w.ids.mark = &stored
	}
	if w.ids.mark.Stream == w.batch.Mark.Stream && w.ids.mark.Sequence >= w.batch.Mark.Sequence {
		return nil
	}
	*w.ids.mark = w.batch.Mark
	_, err := w.exec(w.ctx, `INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		markName, fmt.Sprintf("%s %d", w.batch.Mark.Stream, w.batch.Mark.Sequence))
	return err
}

// insertedName is the name of the count of inserted rows in meta. Its value is the
// rides and the lines of rejects, separated by a space. Counting the table would read
// all of it, and a long read keeps the WAL from being reset.
const insertedName = "inserted"

// writeInserted adds the rows of the batch to the count of inserted rows.
func (w *writeTx) writeInserted() error {
	if w.ids.inserted == nil {
		stored, err := readInserted(w.ctx, w.conn)
		if err != nil {
			return err
		}
		w.ids.inserted = &stored
	}
	before, n := *w.ids.inserted, w.ids.inserted
	for _, o := range w.outcomes {
		n.Rides += int64(o.Stored)
	}
	n.Rejects += w.rejects
	if *n == before {
		return nil
	}
	_, err := w.exec(w.ctx, `INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		insertedName, fmt.Sprintf("%d %d", n.Rides, n.Rejects))
	return err
}

// Inserted returns the count of inserted rows.
func (d *DB) Inserted(ctx context.Context) (n mta.Inserted, err error) {
	if d.ids.inserted != nil {
		return *d.ids.inserted, nil
	}
	if err := d.connect(ctx); err != nil {
		return n, err
	}
	if n, err = readInserted(ctx, d.conn); err != nil {
		return n, fmt.Errorf("store: read the count of rows: %w", err)
	}
	return n, nil
}

func readInserted(ctx context.Context, db queryer) (n mta.Inserted, err error) {
	var value string
	err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", insertedName).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return n, nil // written by an earlier version
	}
	if err != nil {
		return n, err
	}
	if _, err := fmt.Sscanf(value, "%d %d", &n.Rides, &n.Rejects); err != nil {
		return n, fmt.Errorf("meta %s is %q: %w", insertedName, value, err)
	}
	return n, nil
}

// SetMark stores a mark without rows.
func (d *DB) SetMark(ctx context.Context, m mta.Mark) error {
	_, err := d.Write(ctx, &mta.Batch{Mark: m})
	return err
}

// Mark returns the mark of the last batch that had one, or the zero Mark.
func (d *DB) Mark(ctx context.Context) (mta.Mark, error) {
	if err := d.connect(ctx); err != nil {
		return mta.Mark{}, err
	}
	m, err := readMark(ctx, d.conn)
	if err != nil {
		return m, fmt.Errorf("store: read the mark: %w", err)
	}
	return m, nil
}

func readMark(ctx context.Context, db queryer) (m mta.Mark, err error) {
	var value string
	err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", markName).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if _, err := fmt.Sscanf(value, "%s %d", &m.Stream, &m.Sequence); err != nil {
		return m, fmt.Errorf("meta %s is %q: %w", markName, value, err)
	}
	return m, nil
}

// sources returns the names of the batch's sources, in order of arrival.
func (w *writeTx) sources() (names []string) {
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

// writeSource stores the rides and rejects of one source.
func (w *writeTx) writeSource(name string) error {
	id, err := w.sourceID(name)
	if err != nil {
		return err
	}
	rows, err := w.rows(name, id)
	if err != nil {
		return err
	}
	s := &sourceTx{writeTx: w, source: id, name: name, rows: rows, states: make([]rowState, len(rows))}
	defer func() {
		w.table.hide()
		clear(rows) // the slice is reused and would keep the rides alive
	}()
	if err := s.insert(); err != nil {
		return err
	}
	return s.writeRejects()
}

// rows lists the rides of a source with the ids under which they are stored.
func (w *writeTx) rows(name string, source int64) (rows []batchRow, err error) {
	rows = w.ids.rows[:0]
	for i := range w.batch.Parts {
		p := &w.batch.Parts[i]
		if p.Source != name {
			continue
		}
		for j := range p.Rides {
			r := &p.Rides[j]
			station, fare := known(w.ids.stations, r.Station), known(w.ids.fares, r.Fare)
			if station == 0 {
				if station, err = w.stationID(r.Station); err != nil {
					return nil, err
				}
			}
			if fare == 0 {
				if fare, err = w.fareID(r.Fare); err != nil {
					return nil, err
				}
			}
			rows = append(rows, batchRow{r, i, source<<32 | int64(r.Line), station, fare})
		}
	}
	w.ids.rows = rows
	return rows, nil
}

// An idCache holds the ids of sources, stations and fares, so that a ride
// needs no query, the mark, and the count of inserted rows. SQLite gives the id
// of a rolled-back insert to another row. The cache is therefore dropped after a
// failed transaction (see disconnect) and after a change by another connection:
// a stale id would store a wrong station without an error.
type idCache struct {
	epoch    uint64 // of the Dimensions that index stations and fares
	version  int64  // PRAGMA data_version, which changes with commits of other connections
	sources  map[string]int64
	stations []int64 // by index in Dimensions.Stations; 0: not known yet
	fares    []int64
	mark     *mta.Mark     // nil: not known yet
	inserted *mta.Inserted // nil: not known yet

	rows []batchRow // kept to reuse its memory
}

// maxSources bounds the cached sources. The parser bounds stations and fares.
const maxSources = 1 << 12

// invalidate drops ids that may be stale. It is called inside the write
// transaction, in which no other connection can change anything.
func (c *idCache) invalidate(version int64, epoch uint64) {
	if c.sources == nil || c.version != version || len(c.sources) > maxSources {
		*c = idCache{epoch: epoch, version: version, sources: map[string]int64{}, rows: c.rows}
	}
	if c.epoch != epoch {
		c.epoch, c.stations, c.fares = epoch, nil, nil
	}
}

// known returns the n-th id of a list, or 0 if it is not known. It is inlined
// in the loops over all rides.
func known(ids []int64, n uint32) int64 {
	if int(n) < len(ids) {
		return ids[n]
	}
	return 0
}

// slot returns the n-th id of a list, which it extends as needed.
func slot(ids *[]int64, n uint32) *int64 {
	for int(n) >= len(*ids) {
		*ids = append(*ids, 0)
	}
	return &(*ids)[n]
}

// The three functions below return the id of a row that exists or that they
// insert. The update of a column to itself makes RETURNING work for a row that
// exists.

func (w *writeTx) sourceID(name string) (int64, error) {
	if id, ok := w.ids.sources[name]; ok {
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
	err := w.queryInt(w.ctx, &id, `INSERT INTO source (name, columns, first_seen) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET name = name RETURNING id`, name, columns, now())
	if err != nil {
		return 0, err
	}
	w.ids.sources[name] = id
	return id, nil
}

func (w *writeTx) stationID(n uint32) (int64, error) {
	id := slot(&w.ids.stations, n)
	if *id != 0 {
		return *id, nil
	}
	err := w.queryInt(w.ctx, id, `INSERT INTO station (station_complex_id, station_complex, borough, transit_mode, latitude, longitude, georeference)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET borough = borough RETURNING id`, stationValues(w.batch.Dims.Stations[n])...)
	return *id, err
}

func (w *writeTx) fareID(n uint32) (int64, error) {
	id := slot(&w.ids.fares, n)
	if *id != 0 {
		return *id, nil
	}
	err := w.queryInt(w.ctx, id, `INSERT INTO fare (payment_method, fare_class_category) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET payment_method = payment_method RETURNING id`, fareValues(w.batch.Dims.Fares[n])...)
	return *id, err
}

func stationValues(s mta.Station) []any {
	return []any{
		nullString(s.ComplexID), nullString(s.Complex), nullString(s.Borough), nullString(s.Mode),
		nullFloat(s.Latitude), nullFloat(s.Longitude), nullString(s.Georeference),
	}
}

func fareValues(f mta.Fare) []any {
	return []any{nullString(f.PaymentMethod), nullString(f.FareClass)}
}

func nullString(t mta.Text) sql.NullString { return sql.NullString{String: t.S, Valid: t.Valid} }

func nullFloat(n mta.Number) sql.NullFloat64 { return sql.NullFloat64{Float64: n.F, Valid: n.Valid} }
