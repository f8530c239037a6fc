package store

import (
	"errors"

	"turnstile/internal/mta"
)

// Reasons of rejects that the store finds. The parser finds all others.
const (
	reasonDiffers = "differs from the stored row"
	reasonRefused = "refused by a constraint of the table"
)

// writeRejects stores a reject for each row that is not stored as a ride,
// resolves earlier rejects, and counts the outcomes of the parts.
func (s *sourceTx) writeRejects() error {
	if err := s.resolveRejects(); err != nil {
		return err
	}
	for i, r := range s.rows {
		o := &s.outcomes[r.part]
		switch s.states[i] {
		case rowStored:
			o.Stored++
		case rowPresent:
			o.AlreadyThere++
		case rowDiffers:
			o.Rejected++
			s.warnDiffers(r)
			if err := s.insertReject(mta.Reject{Line: int64(r.Line), Reason: reasonDiffers, Record: r.Raw}); err != nil {
				return err
			}
		case rowRefused:
			o.Rejected++
			if err := s.insertReject(mta.Reject{Line: int64(r.Line), Reason: reasonRefused, Record: r.Raw}); err != nil {
				return err
			}
		}
	}
	return s.writeParserRejects()
}

// writeParserRejects stores the rejects of the parser. A later part of the
// same batch may hold the corrected row, which resolves the reject at once.
func (s *sourceTx) writeParserRejects() error {
	accepted := map[int64]int{} // by line: the last part with an accepted row
	if s.hasRejects() {
		for i, r := range s.rows {
			if s.states[i].accepted() {
				accepted[int64(r.Line)] = r.part
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
			if part, ok := accepted[r.Line]; ok && part > i {
				continue
			}
			if err := s.insertReject(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sourceTx) hasRejects() bool {
	for i := range s.batch.Parts {
		if s.batch.Parts[i].Source == s.name && len(s.batch.Parts[i].Rejects) > 0 {
			return true
		}
	}
	return false
}

// insertReject stores a reject unless it is stored already. A stored reject may
// change its reason to reasonDiffers, never back: resolveRejects keeps those.
func (s *sourceTx) insertReject(r mta.Reject) error {
	record := r.Record
	if record == nil {
		record = []byte{} // an empty record is not NULL
	}
	_, err := s.exec(s.ctx, `INSERT INTO reject (source, line, "column", reason, record, rejected_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (source, line, record) DO UPDATE SET "column" = ?3, reason = ?4 WHERE ?4 = ?7 AND reason <> ?7`,
		s.source, r.Line, r.Column, r.Reason, record, now(), reasonDiffers)
	return err
}

// warnDiffers warns once per source.
func (s *sourceTx) warnDiffers(r batchRow) {
	if s.differed[s.name] {
		return
	}
	s.differed[s.name] = true
	s.Warn(&DiffersError{s.name, int64(r.Line)})
}

// resolveRejects deletes the earlier rejects of lines whose rows are accepted
// now: a corrected row resolves the rejects of its line. A row that was stored
// before resolves them, too. Otherwise a redelivery of the bad row and of the
// corrected one would leave a reject. It does not delete a reject that differs
// from the stored row, because that row is stored nowhere else.
func (s *sourceTx) resolveRejects() error {
	if any, err := s.hasStoredRejects(); err != nil || !any {
		return err
	}
	states := make(map[int64]rowState, len(s.rows)) // by line; rowStored wins over rowPresent
	for i, r := range s.rows {
		if _, known := states[int64(r.Line)]; s.states[i] == rowStored || s.states[i] == rowPresent && !known {
			states[int64(r.Line)] = s.states[i]
		}
	}
	for from := 0; from < len(s.rows); {
		to := s.endOfSpan(from)
		stored, err := s.storedRejects(s.rows[from].Line, s.rows[to-1].Line)
		if err != nil {
			return err
		}
		from = to
		for _, r := range stored {
			state, accepted := states[r.line]
			if !accepted || state == rowPresent && r.differs {
				continue
			}
			if _, err := s.exec(s.ctx, "DELETE FROM reject WHERE id = ?", r.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// hasStoredRejects reports whether any reject is stored within the lines of the
// rows. Mostly there is none.
func (s *sourceTx) hasStoredRejects() (any bool, err error) {
	if len(s.rows) == 0 {
		return false, nil
	}
	low, high := s.rows[0].Line, s.rows[0].Line
	for _, r := range s.rows {
		low, high = min(low, r.Line), max(high, r.Line)
	}
	query, err := s.prepare(s.ctx, "SELECT EXISTS (SELECT 1 FROM reject WHERE source = ? AND line BETWEEN ? AND ?)")
	if err != nil {
		return false, err
	}
	return any, query.QueryRowContext(s.ctx, s.source, low, high).Scan(&any)
}

// maxSpanGap is how many lines may lie between two rows of a span.
const maxSpanGap = 64

// endOfSpan returns the end of the rows from from on that stand close together
// in their file. Rows in order of time are spread over the whole file, and a
// query over all their lines could return a million rejects.
func (s *sourceTx) endOfSpan(from int) int {
	to := from + 1
	for to < len(s.rows) && s.rows[to].Line > s.rows[to-1].Line && s.rows[to].Line-s.rows[to-1].Line <= maxSpanGap {
		to++
	}
	return to
}

type storedReject struct {
	id, line int64
	differs  bool
}

func (s *sourceTx) storedRejects(low, high uint32) (found []storedReject, err error) {
	query, err := s.prepare(s.ctx, "SELECT id, line, reason = ? FROM reject WHERE source = ? AND line BETWEEN ? AND ?")
	if err != nil {
		return nil, err
	}
	rows, err := query.QueryContext(s.ctx, reasonDiffers, s.source, low, high)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r storedReject
		if err := rows.Scan(&r.id, &r.line, &r.differs); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}
