package store

// The rides of one data set, into the table: appended where they follow on,
// looked up where they do not.

import (
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
