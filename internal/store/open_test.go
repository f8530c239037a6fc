package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"turnstile/internal/mta"
)

func TestMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Skipf("SKIPPED: this system does not rename an open file: %v", err)
	}
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 1)}, Dims: testDims}
	_, err := d.Write(t.Context(), b)
	if _, ok := errors.AsType[*MovedError](err); !ok {
		t.Errorf("error %v: rows must not go where nobody looks for them", err)
	}
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", DataSource(other, "", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, other} {
		_, err := Open(t.Context(), path, Options{})
		if _, ok := errors.AsType[*ForeignError](err); !ok {
			t.Errorf("open %s: %v", path, err)
		}
		_, err = OpenReader(t.Context(), path)
		if _, ok := errors.AsType[*ForeignError](err); !ok {
			t.Errorf("read %s: %v", path, err)
		}
	}
	absent := filepath.Join(dir, "absent.db")
	_, err = OpenReader(t.Context(), absent)
	if _, ok := errors.AsType[*AbsentError](err); !ok {
		t.Errorf("read an absent database: %v", err)
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Error("a reader made a database")
	}
}

func TestNewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "newer.db")
	open(t, path)
	execute(t, path, "PRAGMA user_version = 99")
	_, writeErr := Open(t.Context(), path, Options{})
	_, readErr := OpenReader(t.Context(), path)
	for _, err := range []error{writeErr, readErr} {
		if e, ok := errors.AsType[*VersionError](err); !ok || e.Version != 99 || e.Known != schemaVersion {
			t.Errorf("error %v, want that version 99 is too new", err)
		}
	}
}

func TestLostID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "damaged.db")
	open(t, path)
	execute(t, path, "DELETE FROM meta WHERE name = 'database'")
	_, err := Open(t.Context(), path, Options{})
	if err == nil || !strings.Contains(err.Error(), "no id of the database") {
		t.Errorf("error %v, want that the id is missing", err)
	}
}

// A database of another program is not changed by the attempt to open it.
func TestNotOursIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", DataSource(path, "", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); err == nil {
		t.Fatal("it was opened")
	}
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file was changed, in its journal mode for example (%v)", err)
	}
	if left, err := filepath.Glob(path + "-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20", "rides.db")
	d := open(t, path)
	again := open(t, path)
	if d.ID() == "" || d.ID() != again.ID() {
		t.Errorf("ids %q and %q, want the same", d.ID(), again.ID())
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	var mode string
	var synchronous int
	if err := d.conn.QueryRowContext(t.Context(), "SELECT * FROM pragma_journal_mode, pragma_synchronous").Scan(&mode, &synchronous); err != nil || mode != "wal" || synchronous != 2 {
		t.Errorf("journal mode %s, synchronous %d (%v), want wal and 2", mode, synchronous, err)
	}
}

func TestCreate(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		path := filepath.Join(t.TempDir(), "new", "rides.db")
		if err := Create(t.Context(), path, mode); err != nil {
			t.Fatal(err)
		}
		if n := number1(t, path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = '"+mode+"'"); n != 1 {
			t.Errorf("journal mode is not %s", mode)
		}
		if n := number1(t, path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%STRICT'"); n != 0 {
			t.Errorf("%d tables are not STRICT", n)
		}
		if err := Create(t.Context(), path, mode); err == nil {
			t.Error("it was created a second time")
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	first, err := Lock(t.Context(), path, func(Holder) { t.Error("nobody holds the lock") })
	if err != nil {
		t.Fatal(err)
	}
	standbyAfter = time.Millisecond
	defer func() { standbyAfter = time.Second }()
	waiting := make(chan struct{})
	var once sync.Once
	got := make(chan error, 1)
	go func() {
		second, err := Lock(t.Context(), path, func(Holder) { once.Do(func() { close(waiting) }) })
		if err == nil {
			err = second.Unlock()
		}
		got <- err
	}()
	<-waiting
	select {
	case err := <-got:
		t.Fatalf("two have the lock (%v)", err)
	default:
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	third, err := Lock(t.Context(), path, func(Holder) {})
	if err != nil {
		t.Fatal(err)
	}
	defer third.Unlock()
	if _, err := Lock(ctx, path, func(Holder) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
}

// By whatever name, it is one database and one lock.
func TestLockByAnotherName(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "rides.db"), filepath.Join(dir, "link.db")
	open(t, path)
	if err := os.Symlink(path, link); err != nil {
		if runtime.GOOS != "windows" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: this Windows makes no symbolic links: %v", err)
	}
	lock, err := Lock(t.Context(), path, func(Holder) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, link, func(Holder) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("two have the lock of one database: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

// TestMain lets the test binary be a writer that dies while it makes a
// database: after it began to write to the file, before its commit.
func TestMain(m *testing.M) {
	if path := os.Getenv("TURNSTILE_TEST_DIE_MAKING"); path != "" {
		dieMaking(path)
	}
	if path := os.Getenv("TURNSTILE_TEST_DIE_MIGRATING"); path != "" {
		dieMigrating(path)
	}
	if path := os.Getenv("TURNSTILE_TEST_OTHER_PROGRAM"); path != "" {
		writeAsOther(path)
		return
	}
	os.Exit(m.Run())
}

func dieMaking(path string) {
	db, err := connect(DataSource(path, "", 0, "cache_size(1)"), "", &batchTable{})
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

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := Open(t.Context(), "rides.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("rides.db"); err != nil {
		t.Error(err)
	}
}
