package store

import (
	"database/sql/driver"

	"modernc.org/sqlite/vtab"

	"turnstile/internal/mta"
)

// A batchRow is a ride with the part of the batch it belongs to and the ids
// under which it is stored.
type batchRow struct {
	*mta.Ride
	part          int
	id            int64 // source.id << 32 | line
	station, fare int64
}

// A batchTable is the virtual table temp.batch: it lets SQLite read the rides
// of a batch with one statement instead of one per row. The table shows
// rows[from:to]. It is empty between statements, so that it keeps no ride
// alive.
//
// The rowid is the id of the ride, because SQLite reads a rowid faster than a
// column. An id may occur twice in a batch, so idx is the index in rows.
type batchTable struct {
	rows     []batchRow
	from, to int
}

func (t *batchTable) show(rows []batchRow, from, to int) { t.rows, t.from, t.to = rows, from, to }
func (t *batchTable) hide()                              { t.rows, t.from, t.to = nil, 0, 0 }

func (t *batchTable) Create(c vtab.Context, _ []string) (vtab.Table, error) { return t.Connect(c, nil) }

func (t *batchTable) Connect(c vtab.Context, _ []string) (vtab.Table, error) {
	return t, c.Declare("CREATE TABLE batch (idx INTEGER, transit_at INTEGER, station INTEGER, fare INTEGER, ridership INTEGER, transfers INTEGER)")
}

// BestIndex offers a full scan only. A join must scan the batch and search the
// other table, never the reverse.
func (t *batchTable) BestIndex(info *vtab.IndexInfo) error {
	info.EstimatedCost, info.EstimatedRows = float64(t.to-t.from), int64(t.to-t.from)
	return nil
}

func (t *batchTable) Open() (vtab.Cursor, error) { return &batchCursor{table: t}, nil }
func (t *batchTable) Disconnect() error          { return nil }
func (t *batchTable) Destroy() error             { return nil }

type batchCursor struct {
	table *batchTable
	at    int
	// The time of the previous row, boxed. Rows of one hour share it, which
	// saves an allocation per row.
	time    driver.Value
	seconds int64
}

func (c *batchCursor) Filter(int, string, []vtab.Value) error { c.at = c.table.from; return nil }
func (c *batchCursor) Next() error                            { c.at++; return nil }
func (c *batchCursor) Eof() bool                              { return c.at >= c.table.to }
func (c *batchCursor) Rowid() (int64, error)                  { return c.table.rows[c.at].id, nil }
func (c *batchCursor) Close() error                           { return nil }

func (c *batchCursor) Column(n int) (driver.Value, error) {
	r := &c.table.rows[c.at]
	switch n {
	case 0:
		return boxed(int64(c.at)), nil
	case 1:
		return c.transitAt(r.At), nil
	case 2:
		return boxed(r.station), nil
	case 3:
		return boxed(r.fare), nil
	case 4:
		return boxed(r.Ridership), nil
	}
	if !r.HasTransfers {
		return nil, nil
	}
	return boxed(r.Transfers), nil
}

func (c *batchCursor) transitAt(seconds int64) driver.Value {
	if c.time == nil || c.seconds != seconds {
		c.time, c.seconds = seconds, seconds
	}
	return c.time
}

// boxedSmall holds small numbers as driver.Values. Boxing a number in an
// interface allocates otherwise, five times a row.
var boxedSmall = makeBoxedSmall()

func makeBoxedSmall() (v [1 << 12]driver.Value) {
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

func boxed(n int64) driver.Value {
	if uint64(n) < uint64(len(boxedSmall)) {
		return boxedSmall[n]
	}
	return n
}
