package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"turnstile/internal/mta"

	sqlite3 "modernc.org/sqlite/lib"
)

func open(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, Options{BusyTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

var errInjected = errors.New("injected")

// failOnce makes a transaction fail before its commit, all its work done.
func failOnce(t *testing.T, d *DB, b *mta.Batch) {
	t.Helper()
	d.failCommit = func() error { return errInjected }
	_, err := d.Write(t.Context(), b)
	d.failCommit = nil
	if !errors.Is(err, errInjected) {
		t.Fatalf("error %v, want the injected one", err)
	}
}

func rides(source string, from, n uint32) mta.Part {
	p := mta.Part{Source: source, Columns: "x"}
	for i := range n {
		p.Rides = append(p.Rides, mta.Ride{Line: from + i, At: int64(i), Ridership: 1, Raw: []byte("raw")})
	}
	return p
}

func number1(t *testing.T, path, query string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", DataSource(path, "ro", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An id that was handed out in a transaction that failed belongs to another
// row afterwards. A cache that remembers it stores wrong stations silently.
func TestRollbackForgetsIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 1)}, Dims: testDims}
	b.Parts[0].Rides[0].Station = 0
	failOnce(t, d, b)
	other := &mta.Batch{Parts: []mta.Part{rides("b.csv", 2, 1)}, Dims: testDims}
	other.Parts[0].Rides[0].Station = 1 // takes the id that was rolled back
	for _, x := range []*mta.Batch{other, b} {
		if _, err := d.Write(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if n := number1(t, path, "SELECT count(*) FROM ridership WHERE source = 'a.csv' AND station_complex = '49 St (N,R,W)'"); n != 1 {
		t.Error("the row has another row's station")
	}
	if n := number1(t, path, "SELECT count(*) FROM ridership WHERE source = 'b.csv' AND station_complex IS NULL"); n != 1 {
		t.Error("the other row has a wrong station")
	}
}

// With a new epoch the same index means another station.
func TestNewEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	swapped := mta.Dimensions{Epoch: 2, Stations: []mta.Station{testDims.Stations[1], testDims.Stations[0]}, Fares: testDims.Fares}
	for i, dims := range []mta.Dimensions{testDims, swapped} {
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", uint32(2+i), 1)}, Dims: dims}); err != nil {
			t.Fatal(err)
		}
	}
	if n := number1(t, path, "SELECT count(*) FROM ridership WHERE station_complex IS NULL AND line = 3"); n != 1 {
		t.Error("the row has the station of the epoch before")
	}
}

// A station that is stored while a file is verified is looked up again.
func TestVerifyBesideAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	first, second := rides("a.csv", 2, 1), rides("a.csv", 3, 1)
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	step := 0
	v, err := r.Verify(t.Context(), "a.csv", 0, func() (*mta.Batch, error) {
		switch step++; step {
		case 1:
			return &mta.Batch{Parts: []mta.Part{first}, Dims: testDims}, nil
		case 2:
			_, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{first, second}, Dims: testDims})
			return &mta.Batch{Parts: []mta.Part{second}, Dims: testDims}, err
		}
		return nil, io.EOF
	})
	if err != nil || v.Missing != 1 || v.Stored != 1 || v.Extra != 0 {
		t.Errorf("verdict %+v (%v), want one missing, then one stored", v, err)
	}
}

// What another connection changes is noticed.
func TestOthersChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 1)}, Dims: testDims}
	if _, err := d.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DataSource(path, "", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM ride; DELETE FROM station; DELETE FROM source; INSERT INTO source VALUES (1, 'z.csv', 'x', ''); "); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if n := number1(t, path, "SELECT count(*) FROM ridership WHERE source = 'a.csv'"); n != 1 {
		t.Error("the row is not there with its source and station")
	}
}

// Runs that are not in order must not be appended.
func TestOutOfOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 5000, 10), rides("a.csv", 100, 200), rides("a.csv", 300, 200), rides("a.csv", 5010, 100)}, Dims: testDims}
	o, err := d.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range b.Parts {
		if o[i].Stored != len(p.Rides) {
			t.Errorf("part %d: %+v", i, o[i])
		}
	}
	if n := number1(t, path, "SELECT count(*) FROM ride WHERE (id & 0xffffffff) BETWEEN 100 AND 499 OR (id & 0xffffffff) BETWEEN 5000 AND 5109"); n != 510 {
		t.Errorf("%d rows are at their lines, want 510", n)
	}
}

func TestRetryAfterBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 100)}, Dims: testDims}
	db, err := sql.Open("sqlite", DataSource(path, "", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), b); primaryCode(err) != sqlite3.SQLITE_BUSY || !IsTransient(err) {
		t.Fatalf("error %v, want busy", err)
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Write(t.Context(), b); err != nil || o[0].Stored != 100 {
		t.Errorf("afterwards: %v, %v", o, err)
	}
}

// A write that is cancelled while it waits for the lock leaves nothing; once
// it has the lock it is finished.
func TestCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d, err := Open(t.Context(), path, Options{BusyTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 100)}, Dims: testDims}
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := d.Write(short, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v to be cancelled", took)
	}
	if _, err := other.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.failCommit = func() error { cancel(); return nil }
	if o, err := d.Write(ctx, b); err != nil || o[0].Stored != 100 {
		t.Errorf("cancelled in the middle: %v, %v, want it finished", o, err)
	}
}

// Rides before the first line of a comparison are not extra.
func TestVerifyFromLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 10)}, Dims: testDims}); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for from, extra := range map[uint32]int64{0: 4, 5: 1, 6: 0} {
		sent := false
		v, err := r.Verify(t.Context(), "a.csv", from, func() (*mta.Batch, error) {
			if sent {
				return nil, io.EOF
			}
			sent = true
			return &mta.Batch{Parts: []mta.Part{rides("a.csv", 6, 6)}, Dims: testDims}, nil
		})
		if err != nil || v.Records != 6 || v.Missing != 0 || v.Extra != extra {
			t.Errorf("from line %d: %+v (%v), want 6 records, %d extra", from, v, err, extra)
		}
	}
}

// The mark is stored with its batch or not at all, never goes back in its
// stream, and survives.
func TestMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	write := func(line uint32, m mta.Mark) {
		t.Helper()
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", line, 1)}, Dims: testDims, Mark: m}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want mta.Mark) {
		t.Helper()
		for _, d := range []*DB{d, open(t, path)} {
			if got, err := d.Mark(t.Context()); err != nil || got != want {
				t.Errorf("mark %v, %v; want %v", got, err, want)
			}
		}
	}
	want(mta.Mark{})
	first, second := mta.Mark{Stream: "2026-11-25T14:00:00.000000001Z", Sequence: 7}, mta.Mark{Stream: "2026-11-26T00:00:00Z", Sequence: 3}
	write(2, first)
	want(first)
	write(3, mta.Mark{})
	write(2, mta.Mark{Stream: first.Stream, Sequence: 6})
	want(first)
	failOnce(t, d, &mta.Batch{Parts: []mta.Part{rides("a.csv", 4, 1)}, Dims: testDims, Mark: second})
	want(first)
	write(4, second)
	want(second)
}
