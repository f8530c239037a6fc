package store

// The virtual table temp.batch: the rides in hand, for SQLite to read as if
// they were a table. The rowid is the id that the ride is stored under: SQLite
// reads a rowid with less ado than a column. An id may come twice, so the rides
// have an index as well.

import (
	"database/sql/driver"

	"modernc.org/sqlite/vtab"

	"turnstile/internal/mta"
)

// A row is a ride with the part it came in and the ids it is stored under.
type row struct {
	*mta.Ride
	part          int
	id            int64
	station, fare int64
}

// A table is what temp.batch shows now: rows[from:to]. It is nothing outside
// of a statement that reads it, so that no ride is kept alive by it.
type table struct {
	rows     []row
	from, to int
}

func (t *table) show(rows []row, from, to int) { t.rows, t.from, t.to = rows, from, to }
func (t *table) hide()                         { t.rows, t.from, t.to = nil, 0, 0 }

func (t *table) Create(c vtab.Context, _ []string) (vtab.Table, error) { return t.Connect(c, nil) }

func (t *table) Connect(c vtab.Context, _ []string) (vtab.Table, error) {
	return t, c.Declare("CREATE TABLE batch (idx INTEGER, transit_at INTEGER, station INTEGER, fare INTEGER, ridership INTEGER, transfers INTEGER)")
}

// BestIndex offers a scan and nothing else: whatever is joined with the batch
// is to be looked up, not the batch.
func (t *table) BestIndex(info *vtab.IndexInfo) error {
	info.EstimatedCost, info.EstimatedRows = float64(t.to-t.from), int64(t.to-t.from)
	return nil
}

func (t *table) Open() (vtab.Cursor, error) { return &cursor{table: t}, nil }
func (t *table) Disconnect() error          { return nil }
func (t *table) Destroy() error             { return nil }

// small are the numbers that most values are, as driver.Values: a number in an
// interface is an allocation otherwise, five a row.
var small = makeSmall()

func makeSmall() (v [1 << 12]driver.Value) {
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

func value(n int64) driver.Value {
	if uint64(n) < uint64(len(small)) {
		return small[n]
	}
	return n
}

type cursor struct {
	table *table
	at    int
	time  driver.Value // of the row before; an hour's rows have the same
	hour  int64
}

// transitAt is a row's time, which is most often that of the row before.
func (c *cursor) transitAt(at int64) driver.Value {
	if c.time == nil || c.hour != at {
		c.time, c.hour = at, at
	}
	return c.time
}

func (c *cursor) Filter(int, string, []vtab.Value) error { c.at = c.table.from; return nil }
func (c *cursor) Next() error                            { c.at++; return nil }
func (c *cursor) Eof() bool                              { return c.at >= c.table.to }
func (c *cursor) Rowid() (int64, error)                  { return c.table.rows[c.at].id, nil }
func (c *cursor) Close() error                           { return nil }

func (c *cursor) Column(n int) (driver.Value, error) {
	r := &c.table.rows[c.at]
	switch n {
	case 0:
		return value(int64(c.at)), nil
	case 1:
		return c.transitAt(r.At), nil
	case 2:
		return value(r.station), nil
	case 3:
		return value(r.fare), nil
	case 4:
		return value(r.Ridership), nil
	}
	if !r.HasTransfers {
		return nil, nil
	}
	return value(r.Transfers), nil
}
