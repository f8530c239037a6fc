package store

// The WAL, with a reader in the way and without.

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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
	d.walWarned = time.Now() // however long that took
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

// removeFiles removes files beside a database, by suffix.
func removeFiles(t *testing.T, path string, suffixes ...string) {
	t.Helper()
	for _, suffix := range suffixes {
		if err := os.Remove(path + suffix); err != nil {
			if runtime.GOOS == "windows" {
				t.Skipf("SKIPPED: this system does not remove an open file: %v", err)
			}
			t.Fatal(err)
		}
	}
}

// afterKill copies the database file as a crash of the writer leaves it.
func afterKill(t *testing.T, path string) (copied string) {
	t.Helper()
	copied = filepath.Join(t.TempDir(), "rides.db")
	text, err := os.ReadFile(path) // closing it drops the locks of d, which is not used any more
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return copied
}

// If -wal is removed, the next write is not confirmed, and all rows are saved.
func TestWALRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 1000)
	removeFiles(t, path, "-wal")
	_, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 1002, 10)}, Dims: testDims})
	if e, ok := errors.AsType[*WALRemovedError](err); !ok || e.Copy != "" || e.Err != nil || IsTransient(err) {
		t.Fatalf("error %v, want that -wal was removed and the rows are saved", err)
	}
	if n := number1(t, afterKill(t, path), "SELECT count(*) FROM ride"); n != 1010 {
		t.Errorf("%d rows after the crash, want 1010", n)
	}
}

// An idle writer notices it before its checkpoint, too.
func TestWALRemovedWhileIdle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 1000)
	removeFiles(t, path, "-wal")
	if _, ok := errors.AsType[*WALRemovedError](d.Idle(t.Context())); !ok {
		t.Error("not noticed")
	}
	if n := number1(t, afterKill(t, path), "SELECT count(*) FROM ride"); n != 1000 {
		t.Errorf("%d rows after the crash, want 1000", n)
	}
}

// If another program has opened the database since, the rows are saved in a
// copy: a checkpoint would destroy the database.
func TestWALReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 1000)
	removeFiles(t, path, "-wal", "-shm")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "TURNSTILE_TEST_OTHER_PROGRAM="+path)
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 1002, 10)}, Dims: testDims})
	e, ok := errors.AsType[*WALRemovedError](err)
	if !ok || e.Copy == "" || e.Err != nil {
		t.Fatalf("error %v, want that -wal was replaced and the rows are in a copy", err)
	}
	if n := number1(t, e.Copy, "SELECT count(*) FROM ride"); n != 1010 {
		t.Errorf("%d rows in the copy, want 1010", n)
	}
	if n := number1(t, e.Copy, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"); n != 1 {
		t.Error("the copy is damaged")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n := number1(t, afterKill(t, path), "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"); n != 1 {
		t.Error("the database of the other program is damaged")
	}
}

// writeAsOther is what another program does to the database.
func writeAsOther(path string) {
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec("CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(100000))")
	}
	if err := errors.Join(err, db.Close()); err != nil {
		panic(err)
	}
}
