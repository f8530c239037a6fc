package store

// The proof: every record of a file is stored with equal content, or kept as a
// reject; and nothing else is stored under the file's name.
// What verify finds on one side only: records that are no rides in the
// database, and rows of lines that are not in the file.

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

// mostDifferences is how many differences a verdict names.
const mostDifferences = 10

// A Verdict is what a comparison came to. Records = Stored + Rejected +
// Missing + Differs.
type Verdict struct {
	Records  int64 // of the file, without header and blanks
	Stored   int64 // with equal content
	Rejected int64 // kept as a reject, byte for byte
	Missing  int64 // neither
	Differs  int64 // the row stored at that line has other content, kept as a reject or not
	Extra    int64 // rows stored at lines where the file has none

	Differences []Difference // the first ones that were found
}

// A Difference is one line on which file and database disagree.
type Difference struct {
	Line         int64
	Kind         string  // missing, differs, extra
	Column       string  // of a row that differs, the first that does
	InFile, InDB *string // nil: no such row, or NULL
}

// Verify compares the records of a source, in order of their lines, with what
// is stored from a line on (0: all). next returns io.EOF at the end.
func (r *Reader) Verify(ctx context.Context, source string, from uint32, next func() (*mta.Batch, error)) (v Verdict, err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return v, fmt.Errorf("store: verify: %w", err)
	}
	p := &proving{Reader: r, ctx: ctx, conn: conn, name: source, upTo: max(int64(from)-1, 0), verdict: &v}
	if err := p.all(next); err != nil {
		// It may be in the middle of a snapshot, which would keep the WAL.
		return v, errors.Join(err, discard(conn))
	}
	return v, conn.Close()
}

// A proving is a comparison under way.
type proving struct {
	*Reader
	ctx     context.Context
	conn    *sql.Conn
	name    string
	source  int64 // 0: not in the database, or not yet
	upTo    int64 // lines up to this one are compared
	verdict *Verdict

	epoch           uint64
	stations, fares []int64 // ids by index; unknown where there is none
	rows            []row
}

// unknown is the id of a station or a fare that the database does not have. No
// row refers to it.
const unknown = -1

// notARide stands for the part of a row that is listed for a reject.
const notARide = -1

func (p *proving) all(next func() (*mta.Batch, error)) error {
	for {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return p.inSnapshot(p.beyond)
		}
		if err != nil {
			return err
		}
		if err := p.inSnapshot(func() error { return p.batch(b) }); err != nil {
			return err
		}
	}
}

// inSnapshot runs f in a read transaction: what a consumer stores meanwhile is
// all there for f, or not at all. One a batch: a single one would let the WAL
// grow for as long as the file is read.
func (p *proving) inSnapshot(f func() error) error {
	if _, err := p.conn.ExecContext(p.ctx, "BEGIN"); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	if err := f(); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	if _, err := p.conn.ExecContext(p.ctx, "COMMIT"); err != nil {
		return fmt.Errorf("store: verify: %w", err)
	}
	return nil
}

func (p *proving) batch(b *mta.Batch) error {
	if err := p.refresh(b.Dims.Epoch); err != nil {
		return err
	}
	defer func() {
		p.table.hide()
		clear(p.rows) // or it would keep the rides
		p.rows = p.rows[:0]
	}()
	for i := range b.Parts {
		if err := p.list(&b.Parts[i], &b.Dims); err != nil {
			return err
		}
	}
	if len(p.rows) == 0 {
		return nil
	}
	return p.compare(b)
}

// list adds a part's records to the rows. A reject is listed as a ride of no
// station: a row stored at its line differs from it.
func (p *proving) list(part *mta.Part, dims *mta.Dimensions) error {
	for i := range part.Rides {
		ride := &part.Rides[i]
		station, err := p.station(dims, ride.Station)
		if err != nil {
			return err
		}
		fare, err := p.fare(dims, ride.Fare)
		if err != nil {
			return err
		}
		p.rows = append(p.rows, row{ride, 0, p.source<<32 | int64(ride.Line), station, fare})
	}
	for i := range part.Rejects {
		r := &part.Rejects[i]
		if r.Line > math.MaxUint32 { // no ride can stand there
			if err := p.absent([]mta.Reject{*r}); err != nil {
				return err
			}
			continue
		}
		p.rows = append(p.rows, row{&mta.Ride{Line: uint32(r.Line), Raw: r.Record}, notARide, p.source<<32 | r.Line, unknown, unknown})
	}
	return nil
}

// refresh looks again for what was not there in an earlier snapshot: a
// consumer may be storing this very file.
func (p *proving) refresh(epoch uint64) error {
	if p.epoch != epoch {
		p.epoch, p.stations, p.fares = epoch, nil, nil
	}
	for _, ids := range [][]int64{p.stations, p.fares} {
		for i, id := range ids {
			ids[i] = max(id, 0) // unknown becomes: not looked up
		}
	}
	if p.source != 0 {
		return nil
	}
	err := p.conn.QueryRowContext(p.ctx, "SELECT id FROM source WHERE name = ?", p.name).Scan(&p.source)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // all its rows are missing
	}
	return err
}

// compare compares the rows by one join, the one that Write uses.
func (p *proving) compare(b *mta.Batch) error {
	p.table.show(p.rows, 0, len(p.rows))
	unequal, err := p.unequal()
	if err != nil {
		return err
	}
	p.verdict.Records += int64(len(p.rows) - len(unequal))
	p.verdict.Stored += int64(len(p.rows) - len(unequal))
	var gone []mta.Reject
	for _, u := range unequal {
		r := p.rows[u.index]
		if u.flag {
			gone = append(gone, mta.Reject{Line: int64(r.Line), Record: r.Raw})
		} else if err := p.differs(b, r); err != nil {
			return err
		}
	}
	if err := p.absent(gone); err != nil {
		return err
	}
	last := int64(0)
	for _, r := range p.rows {
		last = max(last, int64(r.Line))
	}
	// Where every line has a record there is no room for another row, and no
	// need to count.
	if last-p.upTo != int64(len(p.rows)) {
		if err := p.extra(last, int64(len(p.rows)-len(gone)), "AND id NOT IN (SELECT rowid FROM temp.batch)"); err != nil {
			return err
		}
	}
	p.upTo = last
	return nil
}

func (p *proving) unequal() (found []indexed, err error) {
	rows, err := p.conn.QueryContext(p.ctx, "SELECT b.idx, r.id IS NULL "+unequalRows)
	if err != nil {
		return nil, err
	}
	return scanIndexed(rows)
}

// absent looks for records, of which no row is stored, among the rejects.
func (p *proving) absent(records []mta.Reject) error {
	if len(records) == 0 {
		return nil
	}
	low, high := records[0].Line, records[0].Line
	for _, r := range records {
		low, high = min(low, r.Line), max(high, r.Line)
	}
	kept, err := p.rejectsBetween(low, high)
	if err != nil {
		return err
	}
	for _, r := range records {
		p.verdict.Records++
		if kept[rejectName(r.Line, r.Record)] {
			p.verdict.Rejected++
			continue
		}
		p.verdict.Missing++
		text := string(r.Record)
		p.note(Difference{Line: r.Line, Kind: "missing", InFile: &text})
	}
	return nil
}

// rejectsBetween reads the rejects of a range of lines at once: a file that is
// not stored at all would ask for every row of its own otherwise.
func (p *proving) rejectsBetween(low, high int64) (kept map[string]bool, err error) {
	rows, err := p.conn.QueryContext(p.ctx, "SELECT line, record FROM reject WHERE source = ? AND line BETWEEN ? AND ?", p.source, low, high)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	kept = map[string]bool{}
	for rows.Next() {
		var line int64
		var record []byte
		if err := rows.Scan(&line, &record); err != nil {
			return nil, err
		}
		kept[rejectName(line, record)] = true
	}
	return kept, rows.Err()
}

func rejectName(line int64, record []byte) string {
	return strconv.FormatInt(line, 10) + ":" + string(record)
}

// extra counts what is stored in the lines up to last beside what is known.
func (p *proving) extra(last, known int64, except string) error {
	var n int64
	if err := p.conn.QueryRowContext(p.ctx, "SELECT count(*) FROM ride WHERE id > ? AND id <= ?",
		p.source<<32|p.upTo, p.source<<32|last).Scan(&n); err != nil {
		return err
	}
	p.verdict.Extra += n - known
	if n == known || len(p.verdict.Differences) == mostDifferences {
		return nil
	}
	return p.nameExtra(last, except)
}

func (p *proving) nameExtra(last int64, except string) (err error) {
	rows, err := p.conn.QueryContext(p.ctx, "SELECT id & 0xffffffff FROM ride WHERE id > ? AND id <= ? "+except+" ORDER BY id LIMIT ?",
		p.source<<32|p.upTo, p.source<<32|last, mostDifferences)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		d := Difference{Kind: "extra"}
		if err := rows.Scan(&d.Line); err != nil {
			return err
		}
		p.note(d)
	}
	return rows.Err()
}

// beyond looks for rows at lines after the file's last.
func (p *proving) beyond() error {
	if err := p.refresh(p.epoch); err != nil || p.source == 0 {
		return err
	}
	return p.extra(0xffffffff, 0, "")
}

func (p *proving) note(d Difference) {
	if len(p.verdict.Differences) < mostDifferences {
		p.verdict.Differences = append(p.verdict.Differences, d)
	}
}
