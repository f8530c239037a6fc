package store

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"turnstile/internal/mta"
)

// The count of inserted rows grows by what is new, and by nothing else.
func TestInserted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	reject := func(line, last int64, record string) mta.Part {
		return mta.Part{Source: "a.csv", Rejects: []mta.Reject{{Line: line, Last: last, Reason: "bad", Record: []byte(record)}}}
	}
	more := rides("a.csv", 1, 15)
	more.Rides = more.Rides[5:]
	other := rides("a.csv", 5, 1)
	other.Rides[0].Ridership = 99
	for _, step := range []struct {
		what string
		part mta.Part
		want mta.Inserted
	}{
		{"ten rides", rides("a.csv", 1, 10), mta.Inserted{Rides: 10}},
		{"the same", rides("a.csv", 1, 10), mta.Inserted{Rides: 10}},
		{"some of them, and five more", more, mta.Inserted{Rides: 15}},
		{"another source", rides("b.csv", 1, 100), mta.Inserted{Rides: 115}},
		{"a reject", reject(20, 20, "x"), mta.Inserted{Rides: 115, Rejects: 1}},
		{"the same reject", reject(20, 20, "x"), mta.Inserted{Rides: 115, Rejects: 1}},
		{"a run of rejects that overlaps it", reject(18, 21, "x"), mta.Inserted{Rides: 115, Rejects: 4}},
		{"a run longer than a row holds", reject(100, 100+maxRun, "x"), mta.Inserted{Rides: 115, Rejects: 5 + maxRun}},
		{"a ride that differs", other, mta.Inserted{Rides: 115, Rejects: 6 + maxRun}},
		{"the same", other, mta.Inserted{Rides: 115, Rejects: 6 + maxRun}},
		{"the row of a reject, corrected", rides("a.csv", 20, 1), mta.Inserted{Rides: 116, Rejects: 6 + maxRun}},
	} {
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{step.part}, Dims: testDims}); err != nil {
			t.Fatal(err)
		}
		got, err := d.Inserted(t.Context())
		if err != nil || got != step.want {
			t.Errorf("after %s: %+v (%v), want %+v", step.what, got, err, step.want)
		}
	}
	want, err := d.Inserted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failOnce(t, d, &mta.Batch{Parts: []mta.Part{rides("c.csv", 1, 1)}, Dims: testDims})
	if got, err := d.Inserted(t.Context()); err != nil || got != want {
		t.Errorf("after a failed transaction: %+v (%v), want %+v", got, err, want)
	}
	if got, err := open(t, path).Inserted(t.Context()); err != nil || got != want {
		t.Errorf("opened again: %+v (%v), want %+v", got, err, want)
	}
}

// The sums of a database of several parts and sources are those of its rows.
func TestTotals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	wantRows, wantRiders := int64(0), int64(0)
	for i, n := range []uint32{3, 2*totalsPart + 7, 0, totalsPart, 1} {
		part := rides(fmt.Sprint(i, ".csv"), 2, n)
		for j := range part.Rides {
			part.Rides[j].Ridership = int64(j % 5)
			part.Rides[j].At = int64(j) * 600
			wantRiders += int64(j % 5)
		}
		wantRows += int64(n)
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{part}, Dims: testDims}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Totals(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hours := int64(0)
	for _, riders := range got.Hours {
		hours += riders
	}
	if s := got.Stations["10"]; len(got.Stations) != 1 || s != (StationTotal{wantRows, wantRiders}) || hours != wantRiders || got.Inserted.Rides != wantRows {
		t.Errorf("%+v, %d riders by hour, want %d rows and %d riders", got.Stations, hours, wantRows, wantRiders)
	}
}

// What a page shows can be written as JSON, whatever a program has stored: more riders
// than 64 bits hold, a name as long as a row, a place at infinity.
func TestOverviewOfOddRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	part := rides("a.csv", 2, 2)
	part.Rides[0].Ridership, part.Rides[1].Ridership = math.MaxInt64, math.MaxInt64
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{part}, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "UPDATE station SET latitude = 9e999, station_complex = printf('%65536s', 'x'), borough = station_complex")
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	totals, err := r.Totals(t.Context(), nil)
	if s := totals.Stations["10"]; err != nil || s != (StationTotal{2, math.MaxInt64}) {
		t.Errorf("the sums: %+v (%v), want as many riders as there can be", totals.Stations, err)
	}
	stations, err := r.Stations(t.Context(), 10)
	if s := stations["10"]; err != nil || s.Latitude.Valid || len(s.Complex.S) != 100 || len(s.Borough.S) > 100 {
		t.Errorf("the stations: %.200v (%v)", stations, err)
	}
}

// Of a source that is being written, the rows up to a line are summed up.
func TestTotalsUpToALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 10), rides("b.csv", 2, 10), rides("c.csv", 2, 10)}, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Totals(t.Context(), map[string]int64{"a.csv": 4, "c.csv": 1000, "d.csv": 3})
	if err != nil || got.Stations["10"].Rows != 3+10+10 {
		t.Errorf("%+v (%v), want 23 rows", got.Stations, err)
	}
}

// One row is found by its source and line, or the reasons of its rejects are.
func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	parts := []mta.Part{rides("a.csv", 2, 3), {Source: "a.csv", Rejects: []mta.Reject{{Line: 10, Last: 20, Column: "ridership", Reason: "is bad", Record: []byte("x")}}}}
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: parts, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		source  string
		line    int64
		stored  bool
		rejects int
	}{
		{"a.csv", 2, true, 0},
		{"a.csv", 4, true, 0},
		{"a.csv", 5, false, 0},
		{"a.csv", 10, false, 1},
		{"a.csv", 15, false, 1},
		{"a.csv", 21, false, 0},
		{"b.csv", 2, false, 0},
		{"a.csv", -1, false, 0},
		{"a.csv", 1 << 40, false, 0},
	} {
		got, err := r.Find(t.Context(), c.source, c.line)
		if err != nil || got.Stored != c.stored || len(got.Reasons) != c.rejects || c.stored && (got.Station != "10" || got.Name != "49 St (N,R,W)" || got.Riders != 1) {
			t.Errorf("%s line %d: %+v (%v)", c.source, c.line, got, err)
		}
	}
	newest, err := r.NewestRejects(t.Context(), 3)
	if err != nil || len(newest) != 1 || newest[0].Line != 10 || newest[0].Column != "ridership" || newest[0].Source != "a.csv" {
		t.Errorf("the newest rejects: %+v (%v)", newest, err)
	}
	stations, err := r.Stations(t.Context(), 10)
	if s := stations["10"]; err != nil || len(stations) != 1 || s.Complex.S != "49 St (N,R,W)" || s.Latitude.F != 40.7599 {
		t.Errorf("the stations: %+v (%v)", stations, err)
	}
}
