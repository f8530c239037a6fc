package store

// What is not stored as a ride is kept as a reject, with the reason.

import (
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
