package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"turnstile/internal/mta"
)

// differing returns a database with n rows, each with a reject that differs from it
// by 1000 riders, and for the last line two such rejects.
func differing(t *testing.T, n int) *DB {
	t.Helper()
	d := open(t, filepath.Join(t.TempDir(), "rides.db"))
	p := mta.NewParser()
	write := func(from, extra int) {
		var data strings.Builder
		for line := from; line < n+2; line++ {
			fmt.Fprintf(&data, "02/01/2022 05:00:00 AM,%d,%d\n", line%300, line+extra)
		}
		p.Begin()
		part := p.Parse(mta.Chunk{Source: "a.csv", Columns: "transit_timestamp,station_complex_id,ridership", Line: int64(from), Data: []byte(data.String())})
		if len(part.Rejects) > 0 {
			t.Fatal(part.Rejects[0].Reason)
		}
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{part}, Dims: p.Dimensions()}); err != nil {
			t.Fatal(err)
		}
	}
	write(2, 0)
	write(n+1, 500_000)
	write(2, 1_000_000)
	return d
}

func counts(t *testing.T, d *DB) (rides, replaced, rejects int64) {
	t.Helper()
	for query, into := range map[string]*int64{
		"SELECT count(*) FROM ride": &rides, "SELECT count(*) FROM ride WHERE ridership > 1000000": &replaced, "SELECT count(*) FROM reject": &rejects,
	} {
		if err := d.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.queryInt(t.Context(), into, query); err != nil {
			t.Fatal(err)
		}
	}
	return rides, replaced, rejects
}

// TestAccept replaces more rows than one batch takes. The newest of two rejects of a
// line wins.
func TestAccept(t *testing.T) {
	const n = 2*acceptRows + 7
	d := differing(t, n)
	if got, err := d.Accept(t.Context(), Rejected{"a.csv", 9}); err != nil || got != 1 {
		t.Fatalf("%d, %v", got, err)
	}
	if got, err := d.Accept(t.Context(), Rejected{Source: "a.csv"}); err != nil || got != n-1 {
		t.Fatalf("%d, %v", got, err)
	}
	if rides, replaced, rejects := counts(t, d); rides != n || replaced != n || rejects != 0 {
		t.Errorf("%d rides, %d replaced, %d rejects", rides, replaced, rejects)
	}
	_, err := d.Accept(t.Context(), Rejected{Source: "a.csv"})
	if e, ok := errors.AsType[*NoRejectError](err); !ok || e.Others != 0 {
		t.Errorf("got %v", err)
	}
	if in, err := d.Inserted(t.Context()); err != nil || in.Rides != n {
		t.Errorf("a replaced row counts as inserted: %+v, %v", in, err)
	}
}

// TestAcceptAllOrNothing has one record in the middle that the table refuses, and
// then one that is no row.
func TestAcceptAllOrNothing(t *testing.T) {
	const n = acceptRows + 100
	d := differing(t, n)
	for _, spoil := range []string{
		"CREATE TRIGGER no BEFORE INSERT ON ride WHEN new.ridership = 1005060 BEGIN SELECT raise(IGNORE); END",
		"DROP TRIGGER no; UPDATE reject SET record = CAST('no row' AS BLOB) WHERE line = 5060",
	} {
		if err := d.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := d.conn.ExecContext(t.Context(), spoil); err != nil {
			t.Fatal(err)
		}
		_, err := d.Accept(t.Context(), Rejected{Source: "a.csv"})
		if e, ok := errors.AsType[*AcceptError](err); !ok || e.Line != 5060 {
			t.Errorf("got %v", err)
		}
		if rides, replaced, rejects := counts(t, d); rides != n || replaced != 0 || rejects != n+1 {
			t.Errorf("%d rides, %d replaced, %d rejects", rides, replaced, rejects)
		}
	}
	if got, err := d.Discard(t.Context(), Rejected{Source: "a.csv"}); err != nil || got != n+1 {
		t.Errorf("%d, %v", got, err)
	}
}
