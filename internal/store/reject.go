package store

// What is not stored as a ride is kept as a reject, with the reason.
// A line that was mended: its row is accepted, and what was rejected there
// before goes away, in the same transaction.

import (
	"errors"

	"turnstile/internal/mta"
)

const (
	reasonDiffers = "differs from the stored row"
	reasonRefused = "refused by a constraint of the table"
)

// rejects keeps what became no ride, takes away the rejects that are mended,
// and counts what became of every part.
func (s *settling) rejects() error {
	if err := s.mend(); err != nil {
		return err
	}
	for i, r := range s.rows {
		o := &s.outcomes[r.part]
		switch s.fate[i] {
		case stored:
			o.Stored++
		case there:
			o.AlreadyThere++
		case differs:
			o.Rejected++
			s.sayDiffers(r)
			if err := s.keep(mta.Reject{Line: int64(r.Line), Reason: reasonDiffers, Record: r.Raw}); err != nil {
				return err
			}
		case refused:
			o.Rejected++
			if err := s.keep(mta.Reject{Line: int64(r.Line), Reason: reasonRefused, Record: r.Raw}); err != nil {
				return err
			}
		}
	}
	return s.parsed()
}

// parsed keeps the rejects of the parser. One whose line was accepted from a
// later message of the same batch is mended already.
func (s *settling) parsed() error {
	mended := map[int64]int{} // the last part that had an accepted row at a line
	if s.hasRejects() {
		for i, r := range s.rows {
			if s.fate[i].accepted() {
				mended[int64(r.Line)] = r.part
			}
		}
	}
	for i := range s.batch.Parts {
		p := &s.batch.Parts[i]
		if p.Source != s.name {
			continue
		}
		for _, r := range p.Rejects {
			s.outcomes[i].Rejected++
			if part, ok := mended[r.Line]; ok && part > i {
				continue
			}
			if err := s.keep(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *settling) hasRejects() bool {
	for i := range s.batch.Parts {
		if s.batch.Parts[i].Source == s.name && len(s.batch.Parts[i].Rejects) > 0 {
			return true
		}
	}
	return false
}

// keep stores a reject, once however often it comes. One that differs stays
// one: see mend.
func (s *settling) keep(r mta.Reject) error {
	record := r.Record
	if record == nil {
		record = []byte{} // an empty record is not NULL
	}
	_, err := s.exec(s.ctx, `INSERT INTO reject (source, line, "column", reason, record, rejected_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (source, line, record) DO UPDATE SET "column" = ?3, reason = ?4 WHERE ?4 = ?7 AND reason <> ?7`,
		s.source, r.Line, r.Column, r.Reason, record, now(), reasonDiffers)
	return err
}

// sayDiffers says once a source that its rows come with other content.
func (s *settling) sayDiffers(r row) {
	if s.differed[s.name] {
		return
	}
	s.differed[s.name] = true
	s.log.Warn("a row differs from the one stored at its line; it is kept as a reject, and so are others of this source",
		"source", s.name, "line", r.Line, "hint", "another data set needs a name of its own: --source NAME")
}

// mend takes away the earlier rejects of the lines whose rows are accepted. A
// row that is there already mends as well, or the queue's delivering a flawed
// row and its mended one again would leave a reject. But it does not take away
// what differs from it: that is another row, and kept nowhere else.
func (s *settling) mend() error {
	if any, err := s.anyRejects(); err != nil || !any {
		return err
	}
	fates := make(map[int64]fate, len(s.rows)) // by line; of one that is stored and comes again: stored
	for i, r := range s.rows {
		if _, known := fates[int64(r.Line)]; s.fate[i] == stored || s.fate[i] == there && !known {
			fates[int64(r.Line)] = s.fate[i]
		}
	}
	for from := 0; from < len(s.rows); {
		to := s.span(from)
		earlier, err := s.rejectsBetween(s.rows[from].Line, s.rows[to-1].Line)
		if err != nil {
			return err
		}
		from = to
		for _, e := range earlier {
			f, accepted := fates[e.line]
			if !accepted || f == there && e.differs {
				continue
			}
			if _, err := s.exec(s.ctx, "DELETE FROM reject WHERE id = ?", e.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// anyRejects says whether there are any where the rows are, which is seldom so.
func (s *settling) anyRejects() (any bool, err error) {
	if len(s.rows) == 0 {
		return false, nil
	}
	low, high := s.rows[0].Line, s.rows[0].Line
	for _, r := range s.rows {
		low, high = min(low, r.Line), max(high, r.Line)
	}
	query, err := s.statement(s.ctx, "SELECT EXISTS (SELECT 1 FROM reject WHERE source = ? AND line BETWEEN ? AND ?)")
	if err != nil {
		return false, err
	}
	return any, query.QueryRowContext(s.ctx, s.source, low, high).Scan(&any)
}

// widest is how many lines may lie between two rows of a span.
const widest = 64

// span finds the end of the rows that stand close together, from from on. Rows
// by time are all over their file, and so may be a million rejects between
// them.
func (s *settling) span(from int) int {
	to := from + 1
	for to < len(s.rows) && s.rows[to].Line > s.rows[to-1].Line && s.rows[to].Line-s.rows[to-1].Line <= widest {
		to++
	}
	return to
}

type earlier struct {
	id, line int64
	differs  bool
}

func (s *settling) rejectsBetween(low, high uint32) (found []earlier, err error) {
	query, err := s.statement(s.ctx, "SELECT id, line, reason = ? FROM reject WHERE source = ? AND line BETWEEN ? AND ?")
	if err != nil {
		return nil, err
	}
	rows, err := query.QueryContext(s.ctx, reasonDiffers, s.source, low, high)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e earlier
		if err := rows.Scan(&e.id, &e.line, &e.differs); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}
