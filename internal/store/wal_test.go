package store

// The WAL, with a reader in the way and without.

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"turnstile/internal/mta"
)

// reading opens a read transaction, until the end of which the WAL must stay.
func reading(t *testing.T, path string) *sql.Tx {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	tx, err := r.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM ride").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return tx
}

func writeRides(t *testing.T, d *DB, from, n uint32) {
	t.Helper()
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", from, n)}, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
}

func TestIdleEmptiesTheWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 1000)
	reader := reading(t, path)
	writeRides(t, d, 2000, 10)
	if err := d.Idle(t.Context()); err != nil {
		t.Errorf("a reader in the way is no error: %v", err)
	}
	if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() == 0 {
		t.Errorf("the reader was not in the way: %v, %v", wal, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := d.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if wal, err := os.Stat(path + "-wal"); err != nil || wal.Size() != 0 {
		t.Errorf("the WAL is not empty: %v, %v", wal, err)
	}
	var busy int
	if err := d.conn.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&busy); err != nil || busy != 50 {
		t.Errorf("the busy timeout is %d ms afterwards (%v), want 50", busy, err)
	}
}

// A large WAL is said once in a while, and only while a reader keeps it.
func TestLargeWAL(t *testing.T) {
	var warnings []error
	path := filepath.Join(t.TempDir(), "rides.db")
	d, err := Open(t.Context(), path, Options{Warn: func(err error) { warnings = append(warnings, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.largeWAL = 1 << 14
	writeRides(t, d, 2, 5000)
	if len(warnings) > 0 {
		t.Fatalf("warnings without a reader: %v", warnings)
	}
	reader := reading(t, path)
	d.walWarned = d.walWarned.Add(-walWarningEvery)
	writeRides(t, d, 6000, 10)
	writeRides(t, d, 6010, 10)
	if len(warnings) != 1 {
		t.Fatalf("%d warnings, want 1: %v", len(warnings), warnings)
	}
	if w, ok := errors.AsType[*PinnedWALError](warnings[0]); !ok || w.Path != path || w.Bytes < d.largeWAL {
		t.Errorf("warning %v, want that the WAL is pinned", warnings[0])
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
}
