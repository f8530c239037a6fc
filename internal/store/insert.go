package store

// The rides of one data set, into the table: appended where they follow on,
// looked up where they do not.
// What is there already, and whether it is the same.

import (
	"database/sql"
	"errors"

	sqlite3 "modernc.org/sqlite/lib"
)

// A fate is what became of a ride.
type fate uint8

const (
	stored fate = iota
	there       // a row with equal content was there
	differs
	refused // by a constraint of the table
)

// accepted says that the ride is in the table, as it came.
func (f fate) accepted() bool { return f == stored || f == there }

// A settling is the rides of one data set on their way, and what became of
// each.
type settling struct {
	*writing
	source int64
	name   string
	rows   []row
	fate   []fate
}

// leastAppend is the shortest run of rows that is worth a statement of its own.
const leastAppend = 64

// insert stores the rides. Without an id of ours SQLite takes the highest and
// one, which needs no search: half as long as finding the place of each row.
func (s *settling) insert() error {
	if len(s.rows) < leastAppend {
		return s.general(0, len(s.rows))
	}
	last, err := s.highest()
	if err != nil {
		return err
	}
	general := 0 // rows[general:from] are to go the general way
	for from := 0; from < len(s.rows); {
		to := s.run(from)
		first, end := s.rows[from].id, s.rows[to-1].id
		if to-from < leastAppend || first <= last {
			from, last = to, max(last, end)
			continue
		}
		if first > last+1 {
			from++ // the first row sets the place, the others follow on
		}
		if err := s.general(general, from); err != nil {
			return err
		}
		if err := s.append(from, to); err != nil {
			return err
		}
		last, from, general = end, to, to
	}
	return s.general(general, len(s.rows))
}

func (s *settling) highest() (id int64, err error) {
	return id, s.query(s.ctx, &id, "SELECT ifnull(max(id), 0) FROM ride")
}

// run finds the end of the run of consecutive ids that starts at from.
func (s *settling) run(from int) int {
	to := from + 1
	for to < len(s.rows) && s.rows[to].id == s.rows[to-1].id+1 {
		to++
	}
	return to
}

// append stores rows that follow on the highest id, and if that can't be, the
// general way. Never with OR IGNORE: a row left out would shift the names of
// all that follow.
func (s *settling) append(from, to int) error {
	s.table.show(s.rows, from, to)
	appended, err := s.attempt(func() (bool, error) {
		result, err := s.exec(s.ctx, `INSERT INTO ride (transit_at, station, fare, ridership, transfers)
			SELECT transit_at, station, fare, ridership, transfers FROM temp.batch`)
		if err != nil {
			return false, err
		}
		id, idErr := result.LastInsertId()
		n, nErr := result.RowsAffected()
		// A row that a trigger left out has shifted the others, and so has the
		// row that was to set the place, if it was refused.
		return id == s.rows[to-1].id && n == int64(to-from), errors.Join(idErr, nErr)
	})
	if err != nil || appended {
		return err
	}
	return s.general(from, to)
}

// general stores rows wherever they belong, and passes over those that are
// there.
func (s *settling) general(from, to int) error {
	if from == to {
		return nil
	}
	s.table.show(s.rows, from, to)
	if to-from >= leastAppend {
		if all, err := s.allThere(from, to); err != nil || all {
			return err
		}
	}
	n, refusing := int64(0), true
	kept, err := s.attempt(func() (_ bool, err error) {
		if n, err = s.insertOrIgnore(); err != nil {
			return false, err
		}
		refusing = false
		return n == 0 || n == int64(to-from), nil
	})
	switch {
	case err != nil:
		return err
	case refusing:
		return s.halve(from, to)
	case kept && n > 0:
		return nil
	case kept:
		s.mark(from, to, there)
		return s.compare()
	}
	// Some were there. Which, can be seen only before the others are in.
	if err := s.findThere(from, to); err != nil {
		return err
	}
	if _, err := s.insertOrIgnore(); err != nil {
		return err
	}
	return s.compare()
}

// halve finds the row that makes a statement fail, which a trigger can do in
// spite of OR IGNORE: it alone is refused.
func (s *settling) halve(from, to int) error {
	if to-from == 1 {
		s.fate[from] = refused
		return nil
	}
	middle := from + (to-from)/2
	if err := s.general(from, middle); err != nil {
		return err
	}
	return s.general(middle, to)
}

// attempt runs f in a savepoint, and undoes what it did unless f says that it
// is to be kept. That a constraint stopped it is no error: nothing is kept.
func (s *settling) attempt(f func() (keep bool, err error)) (bool, error) {
	if _, err := s.exec(s.ctx, "SAVEPOINT attempt"); err != nil {
		return false, err
	}
	keep, err := f()
	if err != nil && primary(err) != sqlite3.SQLITE_CONSTRAINT {
		return false, err
	}
	if keep = keep && err == nil; !keep {
		if _, err := s.exec(s.ctx, "ROLLBACK TO attempt"); err != nil {
			return false, err
		}
	}
	_, err = s.exec(s.ctx, "RELEASE attempt")
	return keep, err
}

func (s *settling) insertOrIgnore() (int64, error) {
	// OR IGNORE, not ON CONFLICT DO NOTHING: that one ends the whole statement
	// when a CHECK fails, this one leaves the row out.
	result, err := s.exec(s.ctx, `INSERT OR IGNORE INTO ride (id, transit_at, station, fare, ridership, transfers)
		SELECT rowid, transit_at, station, fare, ridership, transfers FROM temp.batch`)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

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
