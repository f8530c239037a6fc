package store

// What verify finds on one side only: records that are no rides in the
// database, and rows of lines that are not in the file.

import (
	"errors"
	"strconv"

	"turnstile/internal/mta"
)

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
