package store

// A constraint that fires is neither a lost row nor the end of a batch.

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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
			db, err := sql.Open("sqlite", DataSource(path, "", time.Second))
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

// A trigger that makes the whole transaction fail is named, and so is one that
// refuses a ride.
func TestTriggerIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	var warnings []error
	d, err := Open(t.Context(), path, Options{Warn: func(err error) { warnings = append(warnings, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	execute(t, path, `CREATE TRIGGER mine BEFORE INSERT ON source BEGIN SELECT RAISE(ABORT, 'no'); END`)
	_, err = d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 1)}, Dims: testDims})
	if e, ok := errors.AsType[*TriggerError](err); !ok || !slices.Equal(e.Triggers, []string{"mine on source"}) {
		t.Errorf("error %v, want that it names the trigger", err)
	}
	execute(t, path, `DROP TRIGGER mine; CREATE TRIGGER yours BEFORE INSERT ON ride BEGIN SELECT RAISE(ABORT, 'no'); END`)
	writeRides(t, d, 2, 3)
	if len(warnings) != 1 {
		t.Fatalf("%d warnings, want 1: %v", len(warnings), warnings)
	}
	if e, ok := errors.AsType[*RefusedError](warnings[0]); !ok || e.Line != 2 || !slices.Equal(e.Triggers, []string{"yours on ride"}) {
		t.Errorf("warning %v, want that it names the trigger", warnings[0])
	}
}

// Any program may send any number of sources.
func TestWarnedSourcesAreBounded(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "rides.db"))
	for n := range maxSources + 1 {
		d.warned[sourceWarning{fmt.Sprint(n), rowDiffers}] = true
	}
	writeRides(t, d, 2, 1)
	differing := rides("a.csv", 2, 1)
	differing.Rides[0].Ridership++
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{differing}, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
	if len(d.warned) > maxSources {
		t.Errorf("%d sources are remembered", len(d.warned))
	}
}
