package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"turnstile/internal/mta"
)

// maxDifferences is how many differences a verdict names.
const maxDifferences = 10

// A Verdict is the result of a comparison. Records = Stored + Rejected +
// Missing + Differs.
type Verdict struct {
	Records  int64 // of the file, without header and blank records
	Stored   int64 // with equal content
	Rejected int64 // stored as a reject, byte for byte
	Missing  int64 // stored neither as a ride nor as a reject
	Differs  int64 // a ride with other content is stored at that line
	Extra    int64 // rides stored at lines where the file has no record

	Differences []Difference // the first ones
}

// A Difference is a line on which file and database disagree.
type Difference struct {
	Line         int64
	Kind         string  // missing, differs, extra
	Column       string  // the first column that differs
	InFile, InDB *string // nil: no such row, or NULL
}

// Verify compares the records of a source with what is stored. The batches of
// next are in order of their lines, and next returns io.EOF at the end. Stored
// rides before line from are not counted as extra; 0 means all are.
//
// A file is proved if each record is stored once with equal content, or as a
// reject, and no other ride is stored under its source.
func (r *Reader) Verify(ctx context.Context, source string, from uint32, next func() (*mta.Batch, error)) (verdict Verdict, err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return verdict, fmt.Errorf("store: verify: %w", err)
	}
	v := &verifier{Reader: r, ctx: ctx, conn: conn, name: source, upTo: max(int64(from)-1, 0), verdict: &verdict}
	if err := v.run(next); err != nil {
		// The connection may be in a read transaction, which would pin the WAL.
		return verdict, errors.Join(err, discardConn(conn))
	}
	return verdict, conn.Close()
}

// A verifier compares one file with the database.
type verifier struct {
	*Reader
	ctx     context.Context
	conn    *sql.Conn
	name    string
	source  int64 // 0: not in the database, or not yet
	upTo    int64 // lines up to this one are compared
	verdict *Verdict

	epoch           uint64  // of the Dimensions that index stations and fares
	stations, fares []int64 // ids by index; unknownID if the database has none
	rows            []batchRow
}

// unknownID is the id of a station or fare that is not in the database.
const unknownID = -1

// noPart is the part of a row that stands for a reject.
const noPart = -1

// isReject reports whether the row stands for a record that is no ride.
func (r batchRow) isReject() bool { return r.part == noPart }

func (v *verifier) run(next func() (*mta.Batch, error)) error {
	for {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return v.inSnapshot(v.checkBeyond)
		}
		if err != nil {
			return err
		}
		if err := v.inSnapshot(func() error { return v.compareBatch(b) }); err != nil {
			return err
		}
	}
}

// inSnapshot runs f in a read transaction, so that f sees each transaction of a
// running consumer as a whole. There is one per batch, because one for the
// whole file would pin the WAL for as long.
func (v *verifier) inSnapshot(f func() error) error {
	if _, err := v.conn.ExecContext(v.ctx, "BEGIN"); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	if err := f(); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	if _, err := v.conn.ExecContext(v.ctx, "COMMIT"); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	return nil
}

func (v *verifier) compareBatch(b *mta.Batch) error {
	if err := v.refreshIDs(b.Dims.Epoch); err != nil {
		return err
	}
	defer func() {
		v.table.hide()
		clear(v.rows) // the slice is reused and would keep the rides alive
		v.rows = v.rows[:0]
	}()
	for i := range b.Parts {
		if err := v.addPart(&b.Parts[i], &b.Dims); err != nil {
			return err
		}
	}
	if len(v.rows) == 0 {
		return nil
	}
	return v.compareRows(b)
}

// addPart adds the records of a part to the rows. A reject becomes a row of an
// unknown station, which differs from any ride stored at its line.
func (v *verifier) addPart(part *mta.Part, dims *mta.Dimensions) error {
	for i := range part.Rides {
		ride := &part.Rides[i]
		station, err := v.stationID(dims, ride.Station)
		if err != nil {
			return err
		}
		fare, err := v.fareID(dims, ride.Fare)
		if err != nil {
			return err
		}
		v.rows = append(v.rows, batchRow{ride, 0, v.source<<32 | int64(ride.Line), station, fare})
	}
	for i := range part.Rejects {
		r := &part.Rejects[i]
		if r.Line > math.MaxUint32 { // beyond the lines of rides
			if err := v.checkRejects([]mta.Reject{*r}); err != nil {
				return err
			}
			continue
		}
		v.rows = append(v.rows, batchRow{&mta.Ride{Line: uint32(r.Line), Raw: r.Record}, noPart, v.source<<32 | r.Line, unknownID, unknownID})
	}
	return nil
}

// compareRows compares the rows by the join that Write uses, too.
func (v *verifier) compareRows(b *mta.Batch) error {
	v.table.show(v.rows, 0, len(v.rows))
	unequal, err := v.unequalRows()
	if err != nil {
		return err
	}
	v.verdict.Records += int64(len(v.rows) - len(unequal))
	v.verdict.Stored += int64(len(v.rows) - len(unequal))
	var absent []mta.Reject
	for _, u := range unequal {
		r := v.rows[u.index]
		if u.absent {
			absent = append(absent, mta.Reject{Line: int64(r.Line), Record: r.Raw})
		} else if err := v.addDiffering(b, r); err != nil {
			return err
		}
	}
	if err := v.checkRejects(absent); err != nil {
		return err
	}
	last := int64(0)
	for _, r := range v.rows {
		last = max(last, int64(r.Line))
	}
	// If each line has a record, no extra ride can be stored among them.
	if last-v.upTo != int64(len(v.rows)) {
		if err := v.countExtra(last, int64(len(v.rows)-len(absent)), "AND id NOT IN (SELECT rowid FROM temp.batch)"); err != nil {
			return err
		}
	}
	v.upTo = last
	return nil
}

func (v *verifier) unequalRows() (found []rowIndex, err error) {
	rows, err := v.conn.QueryContext(v.ctx, "SELECT b.idx, r.id IS NULL "+notStoredEqually)
	if err != nil {
		return nil, err
	}
	return scanIndexes(rows)
}

// checkRejects searches the stored rejects for records that are not stored as
// rides. A record that is not there either is missing.
func (v *verifier) checkRejects(records []mta.Reject) error {
	if len(records) == 0 {
		return nil
	}
	low, high := records[0].Line, records[0].Line
	for _, r := range records {
		low, high = min(low, r.Line), max(high, r.Line)
	}
	rejected, err := v.storedRejects(low, high)
	if err != nil {
		return err
	}
	for _, r := range records {
		v.verdict.Records++
		if rejected[rejectKey(r.Line, r.Record)] {
			v.verdict.Rejected++
			continue
		}
		v.verdict.Missing++
		text := string(r.Record)
		v.addDifference(Difference{Line: r.Line, Kind: "missing", InFile: &text})
	}
	return nil
}

// storedRejects reads the rejects of a range of lines with one query. A file of
// which nothing is stored would need a query per row otherwise.
func (v *verifier) storedRejects(low, high int64) (found map[string]bool, err error) {
	rows, err := v.conn.QueryContext(v.ctx, "SELECT line, record FROM reject WHERE source = ? AND line BETWEEN ? AND ?", v.source, low, high)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found = map[string]bool{}
	for rows.Next() {
		var line int64
		var record []byte
		if err := rows.Scan(&line, &record); err != nil {
			return nil, err
		}
		found[rejectKey(line, record)] = true
	}
	return found, rows.Err()
}

func rejectKey(line int64, record []byte) string {
	return strconv.FormatInt(line, 10) + ":" + string(record)
}

// countExtra counts the rides after upTo and up to last, of which known are
// those of the file. except is an SQL condition that leaves those out.
func (v *verifier) countExtra(last, known int64, except string) error {
	var n int64
	if err := v.conn.QueryRowContext(v.ctx, "SELECT count(*) FROM ride WHERE id > ? AND id <= ?",
		v.source<<32|v.upTo, v.source<<32|last).Scan(&n); err != nil {
		return err
	}
	v.verdict.Extra += n - known
	if n == known || len(v.verdict.Differences) == maxDifferences {
		return nil
	}
	return v.listExtra(last, except)
}

func (v *verifier) listExtra(last int64, except string) (err error) {
	rows, err := v.conn.QueryContext(v.ctx, "SELECT id & 0xffffffff FROM ride WHERE id > ? AND id <= ? "+except+" ORDER BY id LIMIT ?",
		v.source<<32|v.upTo, v.source<<32|last, maxDifferences)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		d := Difference{Kind: "extra"}
		if err := rows.Scan(&d.Line); err != nil {
			return err
		}
		v.addDifference(d)
	}
	return rows.Err()
}

// checkBeyond counts the rides at lines after the last one of the file.
func (v *verifier) checkBeyond() error {
	if err := v.refreshIDs(v.epoch); err != nil || v.source == 0 {
		return err
	}
	return v.countExtra(math.MaxUint32, 0, "")
}

// refreshIDs forgets which ids were not found in an earlier snapshot: a
// consumer may be storing the file meanwhile.
func (v *verifier) refreshIDs(epoch uint64) error {
	if v.epoch != epoch {
		v.epoch, v.stations, v.fares = epoch, nil, nil
	}
	for _, ids := range [][]int64{v.stations, v.fares} {
		for i, id := range ids {
			ids[i] = max(id, 0) // unknownID becomes 0: not looked up yet
		}
	}
	if v.source != 0 {
		return nil
	}
	err := v.conn.QueryRowContext(v.ctx, "SELECT id FROM source WHERE name = ?", v.name).Scan(&v.source)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // all its rows are missing
	}
	return err
}

func (v *verifier) stationID(dims *mta.Dimensions, n uint32) (int64, error) {
	id := slot(&v.stations, n)
	if *id != 0 {
		return *id, nil
	}
	err := v.queryID(id, `SELECT id FROM station WHERE station_complex_id IS ? AND station_complex IS ? AND borough IS ?
		AND transit_mode IS ? AND latitude IS ? AND longitude IS ? AND georeference IS ?`, stationValues(dims.Stations[n])...)
	return *id, err
}

func (v *verifier) fareID(dims *mta.Dimensions, n uint32) (int64, error) {
	id := slot(&v.fares, n)
	if *id != 0 {
		return *id, nil
	}
	err := v.queryID(id, "SELECT id FROM fare WHERE payment_method IS ? AND fare_class_category IS ?", fareValues(dims.Fares[n])...)
	return *id, err
}

func (v *verifier) queryID(id *int64, query string, values ...any) error {
	err := v.conn.QueryRowContext(v.ctx, query, values...).Scan(id)
	if errors.Is(err, sql.ErrNoRows) {
		*id, err = unknownID, nil
	}
	return err
}
