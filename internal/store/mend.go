package store

// A line that was mended: its row is accepted, and what was rejected there
// before goes away, in the same transaction.

import "errors"

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
