package store

// A constraint that fires is neither a lost row nor the end of a batch.

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"turnstile/internal/mta"
)

// A constraint that fires leaves out its row, and the row is kept as a reject.
func TestConstraint(t *testing.T) {
	for _, where := range []int{0, 100, 199} {
		path := filepath.Join(t.TempDir(), "rides.db")
		d := open(t, path)
		b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 200)}, Dims: testDims}
		b.Parts[0].Rides[where].Ridership = -1
		o, err := d.Write(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if want := (mta.Outcome{Stored: 199, Rejected: 1}); o[0] != want {
			t.Errorf("row %d: %+v, want %+v", where, o[0], want)
		}
		if n := number1(t, path, "SELECT count(*) FROM ride WHERE id & 0xffffffff = transit_at + 2"); n != 199 {
			t.Errorf("row %d: %d rows are at their line, want 199", where, n)
		}
	}
}

// Also what a user adds to the tables may refuse rows, in spite of OR IGNORE.
func TestTriggers(t *testing.T) {
	for _, how := range []string{"ABORT, 'no'", "FAIL, 'no'", "IGNORE"} {
		for _, unlucky := range []int{0, 77, 199} {
			path := filepath.Join(t.TempDir(), "rides.db")
			d := open(t, path)
			db, err := sql.Open("sqlite", dataSource(path, "", time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(fmt.Sprintf(`CREATE TRIGGER unlucky BEFORE INSERT ON ride WHEN new.transit_at = %d BEGIN SELECT RAISE(%s); END`, unlucky, how)); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 200)}, Dims: testDims}
			o, err := d.Write(t.Context(), b)
			if want := (mta.Outcome{Stored: 199, Rejected: 1}); err != nil || o[0] != want {
				t.Fatalf("RAISE(%s) in row %d: %+v, %v, want %+v", how, unlucky, o, err, want)
			}
			if n := number1(t, path, "SELECT count(*) FROM ride WHERE id & 0xffffffff = transit_at + 2"); n != 199 {
				t.Errorf("RAISE(%s) in row %d: %d rows are at their line, want 199", how, unlucky, n)
			}
			if n := number1(t, path, "SELECT line FROM reject WHERE reason LIKE '%refused%'"); n != int64(unlucky+2) {
				t.Errorf("RAISE(%s): line %d is rejected, want %d", how, n, unlucky+2)
			}
		}
	}
}
