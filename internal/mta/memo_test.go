package mta

import "testing"

// What is remembered of a row is worth nothing under another header, nor for a
// station whose bytes only begin or end like it.
func TestRowsAreNotTakenForTheOneBefore(t *testing.T) {
	const (
		header = "transit_timestamp,station_complex_id,station_complex,borough,ridership"
		other  = "transit_timestamp,station_complex_id,borough,station_complex,ridership"
	)
	p := NewParser()
	read := func(columns, row string) Station {
		t.Helper()
		part := p.Parse(Chunk{Source: "s", Columns: columns, Line: 2, Data: []byte(row)})
		if len(part.Rides) != 1 {
			t.Fatalf("%s: %+v", row, part.Rejects)
		}
		return p.Dimensions().Stations[part.Rides[0].Station]
	}
	for _, c := range []struct{ columns, row, complex, borough string }{
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{other, "2023-01-01 00:00:00,1,A,B,6\n", "B", "A"},
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{header, "2023-01-01 00:00:00,1,A,BC,6\n", "A", "BC"},
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{header, "2023-01-01 00:00:00,1,A,C,6\n", "A", "C"},
		{header, "2023-01-01 00:00:00,1,A,,6\n", "A", ""},
	} {
		s := read(c.columns, c.row)
		if s.Complex.S != c.complex || s.Borough.S != c.borough {
			t.Errorf("%q under %q is %s in %s", c.row, c.columns, s.Complex.S, s.Borough.S)
		}
	}
}
