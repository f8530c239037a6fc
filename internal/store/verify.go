package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

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
	// FirstMissing is the first line of a missing record, or 0.
	FirstMissing int64
	Differs      int64 // a ride with other content is stored at that line
	Extra        int64 // rides stored at lines where the file has no record

	Differences []Difference // the first ones
}

// A Difference is a line on which file and database disagree.
type Difference struct {
	Line         int64
	Kind         string  // missing, differs, extra
	Column       string  // the first column that differs; "record" if that of the file is no row
	Reason       string  // why the record of the file is no row
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
	runs            []mta.Reject // runs of lines without a stored ride
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
		v.rows, v.runs = v.rows[:0], nil
	}()
	for i := range b.Parts {
		if err := v.addPart(&b.Parts[i], &b.Dims); err != nil {
			return err
		}
	}
	if len(v.rows)+len(v.runs) == 0 {
		return nil
	}
	return v.compareRows(b)
}

// addPart adds the records of a part to the rows. A reject becomes a row of an
// unknown station, which differs from any ride stored at its line.
func (v *verifier) addPart(part *mta.Part, dims *mta.Dimensions) (err error) {
	for i := range part.Rides {
		ride := &part.Rides[i]
		station, fare := known(v.stations, ride.Station), known(v.fares, ride.Fare)
		if station == 0 {
			if station, err = v.stationID(dims, ride.Station); err != nil {
				return err
			}
		}
		if fare == 0 {
			if fare, err = v.fareID(dims, ride.Fare); err != nil {
				return err
			}
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
		if r.Lines() > 1 {
			if err := v.addRun(*r); err != nil {
				return err
			}
			continue
		}
		v.addReject(r.Line, r.Record)
	}
	return nil
}

func (v *verifier) addReject(line int64, record []byte) {
	v.rows = append(v.rows, batchRow{&mta.Ride{Line: uint32(line), Raw: record}, noPart, v.source<<32 | line, unknownID, unknownID})
}

// addRun adds a run of equal rejects: a row for each line with a stored ride,
// and runs of the lines between them. One row per line would take 100 MB for a
// message of the shortest rejects.
func (v *verifier) addRun(r mta.Reject) (err error) {
	rows, err := v.conn.QueryContext(v.ctx, "SELECT id & 0xffffffff FROM ride WHERE id BETWEEN ? AND ? ORDER BY id",
		v.source<<32|r.Line, v.source<<32|min(r.Last, math.MaxUint32))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	rest := r
	for rows.Next() {
		var line int64
		if err := rows.Scan(&line); err != nil {
			return err
		}
		v.addReject(line, r.Record)
		if rest.Last = line - 1; rest.Line <= rest.Last {
			v.runs = append(v.runs, rest)
		}
		rest.Line = line + 1
	}
	if rest.Last = r.Last; rest.Line <= rest.Last {
		v.runs = append(v.runs, rest)
	}
	return rows.Err()
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
	if err := v.checkRejects(append(absent, v.runs...)); err != nil {
		return err
	}
	last, lines := int64(0), int64(len(v.rows))
	for _, r := range v.rows {
		last = max(last, int64(r.Line))
	}
	for _, r := range v.runs {
		last, lines = max(last, min(r.Last, math.MaxUint32)), lines+r.Lines()
	}
	// If each line has a record, no extra ride can be stored among them.
	if last-v.upTo != lines {
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
		low, high = min(low, r.Line), max(high, r.Line, r.Last)
	}
	stored, err := v.storedRejects(low, high)
	if err != nil {
		return err
	}
	for _, r := range records {
		v.verdict.Records += r.Lines()
		v.checkReject(r, stored)
	}
	return nil
}

// checkReject counts the lines of one record, of which the runs of its digest
// may cover some.
func (v *verifier) checkReject(r mta.Reject, stored map[string][]storedRun) {
	from, last := r.Line, max(r.Line, r.Last)
	if len(stored) > 0 {
		runs := stored[string(recordDigest(r.Record))]
		first, _ := slices.BinarySearchFunc(runs, from, func(run storedRun, line int64) int { return cmp.Compare(run.last, line) })
		for _, run := range runs[first:] {
			if run.line > last {
				break
			}
			v.addMissing(r, from, run.line-1)
			v.verdict.Rejected += min(run.last, last) - max(run.line, from) + 1
			from = run.last + 1
		}
	}
	v.addMissing(r, from, last)
}

// addMissing counts the lines from to last as missing.
func (v *verifier) addMissing(r mta.Reject, from, last int64) {
	if from > last {
		return
	}
	v.verdict.Missing += last - from + 1
	if v.verdict.FirstMissing == 0 || from < v.verdict.FirstMissing {
		v.verdict.FirstMissing = from
	}
	for ; from <= last && len(v.verdict.Differences) < maxDifferences; from++ {
		text := string(r.Record)
		v.addDifference(Difference{Line: from, Kind: "missing", InFile: &text})
	}
}

// storedRejects reads the rejects of a range of lines with one query: their
// runs by digest, in order. A file of which nothing is stored would need a
// query per row otherwise.
func (v *verifier) storedRejects(low, high int64) (found map[string][]storedRun, err error) {
	rows, err := v.conn.QueryContext(v.ctx, `SELECT line, last, digest FROM reject WHERE `+startWithin+
		` UNION ALL SELECT line, last, digest FROM reject WHERE `+reachInto+` ORDER BY line`, v.source, low, high, maxRun)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found = map[string][]storedRun{}
	for rows.Next() {
		var run storedRun
		var digest []byte
		if err := rows.Scan(&run.line, &run.last, &digest); err != nil {
			return nil, err
		}
		if err := run.check(); err != nil {
			return nil, err
		}
		found[string(digest)] = append(found[string(digest)], run)
	}
	return found, rows.Err()
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
