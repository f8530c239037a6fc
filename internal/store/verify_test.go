package store

// What verify says of a difference.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"turnstile/internal/mta"
)

func verdict(t *testing.T, path string, next func() (*mta.Batch, error)) Verdict {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.Verify(t.Context(), "a.csv", 0, next)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func say(v Verdict) (said []string) {
	show := func(s *string) string {
		if s == nil {
			return "nothing"
		}
		return fmt.Sprintf("%q", *s)
	}
	for _, d := range v.Differences {
		said = append(said, fmt.Sprintf("%d %s %s: %s, %s", d.Line, d.Kind, d.Column, show(d.InFile), show(d.InDB)))
	}
	return said
}

// Every column may be the one that differs, and NULL is not the empty text.
func TestDifferencesByColumn(t *testing.T) {
	station := mta.Station{
		ComplexID: text1("10"), Complex: text1("49 St"), Borough: text1("Manhattan"), Mode: text1("subway"),
		Latitude: mta.Number{F: 40.5, Valid: true}, Longitude: mta.Number{F: -73.25, Valid: true}, Georeference: text1("POINT"),
	}
	fare := mta.Fare{PaymentMethod: text1("omny"), FareClass: text1("Full")}
	for _, c := range []struct {
		change func(*mta.Ride, *mta.Station, *mta.Fare)
		want   string
	}{
		{func(r *mta.Ride, _ *mta.Station, _ *mta.Fare) { r.At = 3600 }, `transit_timestamp: "1970-01-01 01:00:00", "1970-01-01 00:00:00"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Mode.S = "tram" }, `transit_mode: "tram", "subway"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.ComplexID.S = "010" }, `station_complex_id: "010", "10"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Complex.S = "" }, `station_complex: "", "49 St"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Borough = mta.Text{} }, `borough: nothing, "Manhattan"`},
		{func(_ *mta.Ride, _ *mta.Station, f *mta.Fare) { f.PaymentMethod.S = "cash" }, `payment_method: "cash", "omny"`},
		{func(_ *mta.Ride, _ *mta.Station, f *mta.Fare) { f.FareClass = mta.Text{} }, `fare_class_category: nothing, "Full"`},
		{func(r *mta.Ride, _ *mta.Station, _ *mta.Fare) { r.Ridership = 7 }, `ridership: "7", "6"`},
		{func(r *mta.Ride, _ *mta.Station, _ *mta.Fare) { r.HasTransfers = false }, `transfers: nothing, "0"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Latitude.F = 40.25 }, `latitude: "40.25", "40.5"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Longitude = mta.Number{} }, `longitude: nothing, "-73.25"`},
		{func(_ *mta.Ride, s *mta.Station, _ *mta.Fare) { s.Georeference.S = "P" }, `georeference: "P", "POINT"`},
	} {
		ride := mta.Ride{Line: 2, Ridership: 6, HasTransfers: true, Raw: []byte("raw")}
		batch := func(epoch uint64, r mta.Ride, s mta.Station, f mta.Fare) *mta.Batch {
			return &mta.Batch{
				Parts: []mta.Part{{Source: "a.csv", Rides: []mta.Ride{r}}},
				Dims:  mta.Dimensions{Epoch: epoch, Stations: []mta.Station{s}, Fares: []mta.Fare{f}},
			}
		}
		path := filepath.Join(t.TempDir(), "rides.db")
		// The row before differs in all: no other row is to be shown.
		other := batch(1, mta.Ride{Line: 1, Ridership: 1}, mta.Station{ComplexID: text1("1")}, mta.Fare{})
		d := open(t, path)
		for _, b := range []*mta.Batch{other, batch(2, ride, station, fare)} {
			if _, err := d.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		r, s, f := ride, station, fare
		c.change(&r, &s, &f)
		if said := say(verdict(t, path, each([]*mta.Batch{other, batch(3, r, s, f)}))); !slices.Equal(said, []string{"2 differs " + c.want}) {
			t.Errorf("said %q, want %q", said, c.want)
		}
	}
}

func TestDifferencesByKind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	stored := rides("a.csv", 2, 5) // lines 2 to 6
	stored.Rejects = []mta.Reject{{Line: 7, Reason: "bad", Record: []byte("bad\n")}, {Line: 1 << 33, Reason: "far", Record: []byte("far")}}
	writeBatch := &mta.Batch{Parts: []mta.Part{stored}, Dims: testDims}
	if _, err := d.Write(t.Context(), writeBatch); err != nil {
		t.Fatal(err)
	}
	if v := verdict(t, path, each([]*mta.Batch{writeBatch})); v.Stored != 5 || v.Rejected != 2 || v.Records != 7 || len(v.Differences) != 0 {
		t.Errorf("verdict %+v of what was written", v)
	}
	file := rides("a.csv", 2, 2) // and not line 4
	file.Rejects = []mta.Reject{{Line: 5, Record: []byte("spoiled\n")}, {Line: 7, Record: []byte("worse\n")}}
	v := verdict(t, path, each([]*mta.Batch{{Parts: []mta.Part{file}, Dims: testDims}}))
	want := []string{
		`5 differs record: "spoiled", "1970-01-01 00:00:03,,10,49 St (N,R,W),,omny,OMNY - Full Fare,1,,40.7599,,"`,
		`7 missing : "worse\n", nothing`,
		`4 extra : nothing, nothing`,
		`6 extra : nothing, nothing`,
	}
	if said := say(v); !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// An end before the end is an error, and leaves no snapshot open.
func TestVerifyInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 100)
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Verify(t.Context(), "a.csv", 0, func() (*mta.Batch, error) { return nil, errInjected }); !errors.Is(err, errInjected) {
		t.Errorf("error %v, want that of the file", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Verify(ctx, "a.csv", 0, each(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
	if v, err := r.Verify(t.Context(), "a.csv", 0, each(nil)); err != nil || v.Extra != 100 {
		t.Errorf("afterwards: %+v, %v", v, err)
	}
}
