package store

// What is there already, and whether it is the same.

import (
	"database/sql"
	"errors"
)

func (s *settling) mark(from, to int, f fate) {
	for i := from; i < to; i++ {
		s.fate[i] = f
	}
}

// findThere marks the rows that are in the table before the others are
// inserted, and those that come a second time in this batch.
func (s *settling) findThere(from, to int) error {
	known, err := s.indexes("SELECT b.idx, 0 FROM temp.batch b JOIN ride r ON r.id = b.rowid")
	if err != nil {
		return err
	}
	for _, k := range known {
		s.fate[k.index] = there
	}
	seen := make(map[int64]bool, to-from)
	for i := from; i < to; i++ {
		if seen[s.rows[i].id] {
			s.fate[i] = there
		}
		seen[s.rows[i].id] = true
	}
	return nil
}

// allThere marks rows that are all in the table, as in a file that is sent
// again, without trying to insert them: that would be as dear as comparing
// them. Whether it is worth a try is told by the first and the last.
func (s *settling) allThere(from, to int) (bool, error) {
	var ends int64
	err := s.query(s.ctx, &ends, "SELECT count(*) FROM ride WHERE id IN (?, ?)", s.rows[from].id, s.rows[to-1].id)
	if err != nil || ends == 0 || ends == 1 && s.rows[from].id != s.rows[to-1].id {
		return false, err
	}
	s.mark(from, to, there)
	if err := s.compare(); err != nil {
		return false, err
	}
	for _, f := range s.fate[from:to] {
		if f == refused { // it is not in the table: not yet
			s.mark(from, to, stored)
			return false, nil
		}
	}
	return true, nil
}

// compare marks the rows whose stored row has other content, or that the table
// refused.
func (s *settling) compare() error {
	unequal, err := s.indexes("SELECT b.idx, r.id IS NULL " + unequalRows)
	if err != nil {
		return err
	}
	for _, u := range unequal {
		s.fate[u.index] = differs
		if u.flag {
			s.fate[u.index] = refused
		}
	}
	return nil
}

// unequalRows are the rows of the batch that are not stored as they are. What
// verify proves is the emptiness of this very join.
const unequalRows = `FROM temp.batch b LEFT JOIN ride r ON r.id = b.rowid
	WHERE r.id IS NULL OR r.transit_at <> b.transit_at OR r.station <> b.station OR r.fare <> b.fare
	   OR r.ridership <> b.ridership OR r.transfers IS NOT b.transfers`

type indexed struct {
	index int
	flag  bool
}

// indexes reads the indexes of rows of the batch, each with a flag.
func (s *settling) indexes(query string) ([]indexed, error) {
	prepared, err := s.statement(s.ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := prepared.QueryContext(s.ctx)
	if err != nil {
		return nil, err
	}
	return scanIndexed(rows)
}

func scanIndexed(rows *sql.Rows) (found []indexed, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var i indexed
		if err := rows.Scan(&i.index, &i.flag); err != nil {
			return nil, err
		}
		found = append(found, i)
	}
	return found, rows.Err()
}
