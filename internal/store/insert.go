package store

import (
	"database/sql"
	"errors"

	sqlite3 "modernc.org/sqlite/lib"
)

// A rowState is the result of a ride in a write transaction.
type rowState uint8

const (
	rowStored  rowState = iota
	rowPresent          // an equal ride was stored before
	rowDiffers          // another ride was stored before
	rowRefused          // by a constraint or a trigger
)

// accepted reports whether the table holds an equal ride.
func (s rowState) accepted() bool { return s == rowStored || s == rowPresent }

// A sourceTx stores the rides and rejects of one source within a write
// transaction.
type sourceTx struct {
	*writeTx
	source int64
	name   string
	rows   []batchRow
	states []rowState // one per row
}

// minAppend is the shortest run of rows for which a statement of its own pays.
const minAppend = 64

// insert stores the rides. It takes the append path for runs of rows that
// follow the highest id, and the insert-or-ignore path for all others. The
// append path needs no search of the table, which halves the time.
func (s *sourceTx) insert() error {
	if len(s.rows) < minAppend {
		return s.insertOrIgnore(0, len(s.rows))
	}
	last, err := s.highestID()
	if err != nil {
		return err
	}
	pending := 0 // rows[pending:from] wait for the insert-or-ignore path
	for from := 0; from < len(s.rows); {
		to := s.endOfRun(from)
		first, end := s.rows[from].id, s.rows[to-1].id
		if to-from < minAppend || first <= last {
			from, last = to, max(last, end)
			continue
		}
		if first > last+1 {
			from++ // the first row is inserted with its id; the others follow it
		}
		if err := s.insertOrIgnore(pending, from); err != nil {
			return err
		}
		if err := s.appendRows(from, to); err != nil {
			return err
		}
		last, from, pending = end, to, to
	}
	return s.insertOrIgnore(pending, len(s.rows))
}

func (s *sourceTx) highestID() (id int64, err error) {
	return id, s.queryInt(s.ctx, &id, "SELECT ifnull(max(id), 0) FROM ride")
}

// endOfRun returns the end of the run of consecutive ids that starts at from.
func (s *sourceTx) endOfRun(from int) int {
	to := from + 1
	for to < len(s.rows) && s.rows[to].id == s.rows[to-1].id+1 {
		to++
	}
	return to
}

// appendRows stores rows whose ids follow the highest one. SQLite assigns the
// ids. If they are not those of the rows, appendRows undoes the statement and
// takes the insert-or-ignore path. OR IGNORE must not be used here: a row left
// out would shift the ids of all that follow.
func (s *sourceTx) appendRows(from, to int) error {
	s.table.show(s.rows, from, to)
	appended, err := s.inSavepoint(func() (bool, error) {
		result, err := s.exec(s.ctx, `INSERT INTO ride (transit_at, station, fare, ridership, transfers)
			SELECT transit_at, station, fare, ridership, transfers FROM temp.batch`)
		if err != nil {
			return false, err
		}
		id, idErr := result.LastInsertId()
		n, nErr := result.RowsAffected()
		// A trigger may have left out a row, or a constraint may have refused
		// the row before the run. Either shifts the ids.
		return id == s.rows[to-1].id && n == int64(to-from), errors.Join(idErr, nErr)
	})
	if err != nil || appended {
		return err
	}
	return s.insertOrIgnore(from, to)
}

// insertOrIgnore stores rows at any place of the table. Rows that are present
// are compared with the stored ones.
func (s *sourceTx) insertOrIgnore(from, to int) error {
	if from == to {
		return nil
	}
	s.table.show(s.rows, from, to)
	if to-from >= minAppend {
		if all, err := s.allPresent(from, to); err != nil || all {
			return err
		}
	}
	n, failed := int64(0), true
	kept, err := s.inSavepoint(func() (_ bool, err error) {
		if n, err = s.execInsertOrIgnore(); err != nil {
			return false, err
		}
		failed = false
		return n == 0 || n == int64(to-from), nil
	})
	switch {
	case err != nil:
		return err
	case failed:
		return s.bisect(from, to)
	case kept && n > 0:
		return nil
	case kept:
		s.setStates(from, to, rowPresent)
		return s.compare()
	}
	// Some rows were present. Only before the others are inserted can a query
	// tell which.
	if err := s.markPresent(from, to); err != nil {
		return err
	}
	if _, err := s.execInsertOrIgnore(); err != nil {
		return err
	}
	return s.compare()
}

func (s *sourceTx) execInsertOrIgnore() (int64, error) {
	// OR IGNORE leaves out a row that fails a CHECK. ON CONFLICT DO NOTHING
	// would end the whole statement.
	result, err := s.exec(s.ctx, `INSERT OR IGNORE INTO ride (id, transit_at, station, fare, ridership, transfers)
		SELECT rowid, transit_at, station, fare, ridership, transfers FROM temp.batch`)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// bisect finds the rows that make a statement fail, and marks them as refused.
// A trigger can raise an error in spite of OR IGNORE.
func (s *sourceTx) bisect(from, to int) error {
	if to-from == 1 {
		s.states[from] = rowRefused
		return nil
	}
	middle := from + (to-from)/2
	if err := s.insertOrIgnore(from, middle); err != nil {
		return err
	}
	return s.insertOrIgnore(middle, to)
}

// inSavepoint runs f in a savepoint and rolls back to it unless f returns
// keep. A violated constraint is no error: inSavepoint returns false.
func (s *sourceTx) inSavepoint(f func() (keep bool, err error)) (kept bool, err error) {
	if _, err := s.exec(s.ctx, "SAVEPOINT attempt"); err != nil {
		return false, err
	}
	kept, err = f()
	if err != nil && primaryCode(err) != sqlite3.SQLITE_CONSTRAINT {
		return false, err
	}
	if kept = kept && err == nil; !kept {
		if _, err := s.exec(s.ctx, "ROLLBACK TO attempt"); err != nil {
			return false, err
		}
	}
	_, err = s.exec(s.ctx, "RELEASE attempt")
	return kept, err
}

func (s *sourceTx) setStates(from, to int, state rowState) {
	for i := from; i < to; i++ {
		s.states[i] = state
	}
}

// markPresent marks the rows that are stored already, and those that occur a
// second time in the batch.
func (s *sourceTx) markPresent(from, to int) error {
	present, err := s.queryIndexes("SELECT b.idx, 0 FROM temp.batch b JOIN ride r ON r.id = b.rowid")
	if err != nil {
		return err
	}
	for _, p := range present {
		s.states[p.index] = rowPresent
	}
	seen := make(map[int64]bool, to-from)
	for i := from; i < to; i++ {
		if seen[s.rows[i].id] {
			s.states[i] = rowPresent
		}
		seen[s.rows[i].id] = true
	}
	return nil
}

// allPresent reports whether the table holds all rows, as when a file is
// loaded again, and compares them. This avoids an INSERT that costs as much as
// the comparison. The first and the last row tell whether to try.
func (s *sourceTx) allPresent(from, to int) (bool, error) {
	var ends int64
	err := s.queryInt(s.ctx, &ends, "SELECT count(*) FROM ride WHERE id IN (?, ?)", s.rows[from].id, s.rows[to-1].id)
	if err != nil || ends == 0 || ends == 1 && s.rows[from].id != s.rows[to-1].id {
		return false, err
	}
	s.setStates(from, to, rowPresent)
	if err := s.compare(); err != nil {
		return false, err
	}
	for _, state := range s.states[from:to] {
		if state == rowRefused { // the table does not hold the row
			s.setStates(from, to, rowStored)
			return false, nil
		}
	}
	return true, nil
}

// compare marks the rows that differ from the stored ones, and those that the
// table refused.
func (s *sourceTx) compare() error {
	found, err := s.queryIndexes("SELECT b.idx, r.id IS NULL " + notStoredEqually)
	if err != nil {
		return err
	}
	for _, f := range found {
		s.states[f.index] = rowDiffers
		if f.absent {
			s.states[f.index] = rowRefused
		}
	}
	return nil
}

// notStoredEqually selects the rows of the batch that are not stored with equal
// content. Write and Verify share it: what one accepts the other proves.
const notStoredEqually = `FROM temp.batch b LEFT JOIN ride r ON r.id = b.rowid
	WHERE r.id IS NULL OR r.transit_at <> b.transit_at OR r.station <> b.station OR r.fare <> b.fare
	   OR r.ridership <> b.ridership OR r.transfers IS NOT b.transfers`

// A rowIndex is the index of a row of the batch.
type rowIndex struct {
	index  int
	absent bool // no ride is stored under the row's id
}

func (s *sourceTx) queryIndexes(query string) ([]rowIndex, error) {
	prepared, err := s.prepare(s.ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := prepared.QueryContext(s.ctx)
	if err != nil {
		return nil, err
	}
	return scanIndexes(rows)
}

func scanIndexes(rows *sql.Rows) (found []rowIndex, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var i rowIndex
		if err := rows.Scan(&i.index, &i.absent); err != nil {
			return nil, err
		}
		found = append(found, i)
	}
	return found, rows.Err()
}
