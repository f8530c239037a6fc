package store

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"turnstile/internal/mta"
)

// maxRun is the most lines that one row of the table reject stands for. It
// bounds the rows that a search for the runs around a line has to read.
const maxRun = 4096

// The runs of a source that concern the lines ?2 to ?3 either start within
// them or reach into them. ?1 is the source, ?4 is maxRun.
const (
	startWithin = `source = ?1 AND line BETWEEN ?2 AND ?3`
	reachInto   = `source = ?1 AND line > ?2 - ?4 AND line < ?2 AND last > line AND last >= ?2`
)

// A storedRun is a row of the table reject. It stands for the lines from line
// to last, whose records are equal.
type storedRun struct {
	id, line, last int64
	differs        bool // the reason is reasonDiffers
}

// check refuses a run that no writer stores. The searches above would miss some of its
// lines, and who goes on behind its last line would not come to an end.
func (r storedRun) check() error {
	if r.line < 1 || r.last < r.line || r.last-r.line >= maxRun {
		return fmt.Errorf("the table reject is damaged: one of its rows is for the lines %d to %d, want %d lines at most", r.line, r.last, maxRun)
	}
	return nil
}

// recordDigest returns the digest by which equal records are found.
func recordDigest(record []byte) []byte {
	digest := sha256.Sum256(record)
	return digest[:]
}

// storedRuns returns the runs that share a line with low to high, by line. With
// a digest it returns those of that record only.
func (s *sourceTx) storedRuns(low, high int64, digest []byte) (found []storedRun, err error) {
	const columns, match = `SELECT id, line, last, reason = ?5 FROM reject WHERE `, ` AND (?6 IS NULL OR digest = ?6)`
	query, err := s.prepare(s.ctx, columns+startWithin+match+` UNION ALL `+columns+reachInto+match+` ORDER BY line, id`)
	if err != nil {
		return nil, err
	}
	var wanted any // NULL, not an empty blob
	if digest != nil {
		wanted = digest
	}
	rows, err := query.QueryContext(s.ctx, s.source, low, high, maxRun, reasonDiffers, wanted)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r storedRun
		if err := rows.Scan(&r.id, &r.line, &r.last, &r.differs); err != nil {
			return nil, err
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// insertUnresolved stores the lines of a reject for which resolved is false.
func (s *sourceTx) insertUnresolved(r mta.Reject, resolved func(line int64) bool) error {
	last := max(r.Line, r.Last)
	for r.Line <= last {
		if resolved(r.Line) {
			r.Line++
			continue
		}
		r.Last = r.Line
		for r.Last < last && !resolved(r.Last+1) {
			r.Last++
		}
		if err := s.insertReject(r); err != nil {
			return err
		}
		r.Line = r.Last + 1
	}
	return nil
}

// insertReject stores the lines of a reject that are not stored with an equal
// record already: the runs of a record never overlap, however its lines are cut
// into messages. A stored line may change its reason to reasonDiffers, never
// back: resolveRejects keeps those.
func (s *sourceTx) insertReject(r mta.Reject) error {
	digest, last := recordDigest(r.Record), max(r.Line, r.Last)
	stored, err := s.storedRuns(r.Line, last, digest)
	if err != nil {
		return err
	}
	from := r.Line
	for _, run := range stored {
		if r.Reason == reasonDiffers && !run.differs { // such a reject has one line
			if err := s.removeLines(run, []int64{r.Line}); err != nil {
				return err
			}
			s.rejects-- // the line is inserted again, with the other reason
			continue
		}
		if err := s.insertRun(r, digest, from, run.line-1); err != nil {
			return err
		}
		from = run.last + 1
	}
	return s.insertRun(r, digest, from, last)
}

// insertRun inserts rows for the lines from to last, or none if from > last.
func (s *sourceTx) insertRun(r mta.Reject, digest []byte, from, last int64) error {
	record := r.Record
	if record == nil {
		record = []byte{} // an empty record is not NULL
	}
	s.rejects += max(0, last-from+1)
	for ; from <= last; from += maxRun {
		if _, err := s.exec(s.ctx, `INSERT INTO reject (source, line, "column", reason, record, rejected_at, last, digest)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			s.source, from, r.Column, r.Reason, record, now(), min(last, from+maxRun-1), digest); err != nil {
			return err
		}
	}
	return nil
}

// removeLines removes lines, in ascending order, from a stored run. What is
// left of the run may be several runs.
func (s *sourceTx) removeLines(run storedRun, lines []int64) error {
	if len(lines) == 0 {
		return nil
	}
	var left []storedRun
	from := run.line
	for _, line := range lines {
		if from < line {
			left = append(left, storedRun{line: from, last: line - 1})
		}
		from = line + 1
	}
	if from <= run.last {
		left = append(left, storedRun{line: from, last: run.last})
	}
	if len(left) == 0 {
		_, err := s.exec(s.ctx, "DELETE FROM reject WHERE id = ?", run.id)
		return err
	}
	if _, err := s.exec(s.ctx, "UPDATE reject SET line = ?, last = ? WHERE id = ?", left[0].line, left[0].last, run.id); err != nil {
		return err
	}
	for _, l := range left[1:] {
		if _, err := s.exec(s.ctx, `INSERT INTO reject (source, line, "column", reason, record, rejected_at, last, digest)
			SELECT source, ?, "column", reason, record, rejected_at, ?, digest FROM reject WHERE id = ?`,
			l.line, l.last, run.id); err != nil {
			return err
		}
	}
	return nil
}
