package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"turnstile/internal/mta"
)

// TestMain lets the test binary be a writer that dies while it makes a
// database: after it began to write to the file, before its commit.
func TestMain(m *testing.M) {
	if path := os.Getenv("TURNSTILE_TEST_DIE_MAKING"); path != "" {
		dieMaking(path)
	}
	os.Exit(m.Run())
}

func dieMaking(path string) {
	db, err := connect(dsn(path, "", 0, "cache_size(1)"), &table{})
	if err == nil {
		_, err = db.Exec("BEGIN IMMEDIATE; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000))")
	}
	if err != nil {
		panic(err)
	}
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Kill()
	}
	panic(err)
}

// A database whose maker was killed half-way is no dead end.
func TestKilledWhileMaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	die := exec.Command(os.Args[0])
	die.Env = append(os.Environ(), "TURNSTILE_TEST_DIE_MAKING="+path)
	if err := die.Run(); err == nil {
		t.Fatal("it did not die")
	}
	if journal, err := os.Stat(path + "-journal"); err != nil || journal.Size() == 0 {
		t.Fatalf("there is no hot journal: %v", err)
	}
	copied := path + ".copy"
	for _, suffix := range []string{"", "-journal"} {
		text, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := OpenReader(t.Context(), copied)
	if _, ok := errors.AsType[*ForeignError](err); !ok {
		t.Errorf("a reader: %v, want that it is empty", err)
	}
	d := open(t, path)
	if o, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 10)}, Dims: testDims}); err != nil || o[0].Stored != 10 {
		t.Errorf("a writer: %v, %v", o, err)
	}
}
