package store

import (
	"database/sql"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"turnstile/internal/mta"
)

// schema1 is the schema of version 1, as it was released.
//
//go:embed testdata/schema1.sql
var schema1 string

// version1 creates a database of version 1 with rides and rejects.
func version1(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rides.db")
	script := schema1 + fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = 1;", applicationID) + `
		INSERT INTO meta VALUES ('database', 'the id');
		INSERT INTO source VALUES (1, 'a.csv', 'x', '2026-01-01 00:00:00');
		INSERT INTO station (id, station_complex_id, station_complex, latitude) VALUES (5, '10', '49 St (N,R,W)', 40.7599);
		INSERT INTO fare VALUES (6, 'omny', 'OMNY - Full Fare');
		INSERT INTO ride SELECT 1 << 32 | value, value, 5, 6, 1, NULL FROM generate_series(2, 101);
		INSERT INTO reject (source, line, "column", reason, record, rejected_at) SELECT 1, value, 'c', 'bad', CAST('bad ' || (value / 2) AS BLOB), 'then' FROM generate_series(102, 151);
		INSERT INTO reject (source, line, "column", reason, record, rejected_at) VALUES (1, 7, '', 'differs from the stored row', x'00ff', 'then'), (1, 160, '', 'bad', x'', 'then');
		CREATE TABLE mine (x);
		CREATE TRIGGER counts AFTER DELETE ON reject BEGIN INSERT INTO mine VALUES (old.line); END;`
	script = strings.ReplaceAll(script, "generate_series(2, 101)", "(WITH RECURSIVE s(value) AS (SELECT 2 UNION ALL SELECT value + 1 FROM s WHERE value < 101) SELECT value FROM s)")
	script = strings.ReplaceAll(script, "generate_series(102, 151)", "(WITH RECURSIVE s(value) AS (SELECT 102 UNION ALL SELECT value + 1 FROM s WHERE value < 151) SELECT value FROM s)")
	execute(t, path, "PRAGMA journal_mode = wal")
	execute(t, path, script)
	return path
}

// batch1 is a file that version1 stores.
func batch1() *mta.Batch {
	b := &mta.Batch{Parts: []mta.Part{rides("a.csv", 2, 100)}, Dims: testDims}
	for i := range b.Parts[0].Rides {
		b.Parts[0].Rides[i].At += 2
	}
	for line := int64(102); line <= 151; line++ {
		b.Parts[0].Rejects = append(b.Parts[0].Rejects, mta.Reject{Line: line, Reason: "bad", Record: fmt.Appendf(nil, "bad %d", line/2)})
	}
	b.Parts[0].Rejects = joinRuns(b.Parts[0].Rejects)
	return b
}

// checkVersion1 checks that all that version1 stored is there.
func checkVersion1(t *testing.T, path string) {
	t.Helper()
	if v := verdict(t, path, each([]*mta.Batch{batch1()})); v.Stored != 100 || v.Rejected != 50 || v.Records != 150 || v.Extra != 0 {
		t.Errorf("verdict %+v", v)
	}
	list := rejectsOf(t, path, "")
	if len(list) != 52 {
		t.Errorf("%d rejects, want 52", len(list))
	}
	for _, x := range list {
		if x.Last != x.Line || x.RejectedAt != "then" || x.Line == 7 && x.Reason == reasonDiffers && string(x.Record) != "\x00\xff" {
			t.Errorf("reject %+v", x)
		}
	}
	if n := number1(t, path, "SELECT count(*) FROM meta WHERE value = 'the id'"); n != 1 {
		t.Error("the database has lost its id")
	}
}

func version(t *testing.T, path string) int64 {
	t.Helper()
	return number1(t, path, "SELECT user_version FROM pragma_user_version")
}

// A reader uses an older database as it is.
func TestReadOlderVersion(t *testing.T) {
	path := version1(t)
	checkVersion1(t, path)
	if v := version(t, path); v != 1 {
		t.Errorf("reading has made it version %d", v)
	}
}

func TestMigrate(t *testing.T) {
	path := version1(t)
	var log strings.Builder
	d, err := Open(t.Context(), path, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "from_version=1 to_version=2") {
		t.Errorf("log %q, want one line", &log)
	}
	if d.ID() != "the id" {
		t.Errorf("id %q", d.ID())
	}
	checkVersion1(t, path)
	o, err := d.Write(t.Context(), batch1())
	if want := (mta.Outcome{AlreadyThere: 100, Rejected: 50}); err != nil || o[0] != want {
		t.Errorf("written again: %+v, %v, want %+v", o, err, want)
	}
	checkVersion1(t, path)
	corrected := &mta.Batch{Parts: []mta.Part{rides("a.csv", 110, 1)}, Dims: testDims}
	if _, err := d.Write(t.Context(), corrected); err != nil {
		t.Fatal(err)
	}
	if n := number1(t, path, "SELECT count(*) FROM mine WHERE x = 110"); n != 1 {
		t.Error("the trigger of the user is gone")
	}
}

// A migrated database has the tables and indexes of a new one.
func TestMigratedSchema(t *testing.T) {
	migrated, created := version1(t), filepath.Join(t.TempDir(), "new.db")
	open(t, migrated)
	open(t, created)
	a, b := structure(t, migrated), structure(t, created)
	a = slices.DeleteFunc(a, func(s string) bool { return strings.HasPrefix(s, "mine.") })
	if !slices.Equal(a, b) {
		t.Errorf("migrated:\n%s\nnew:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// structure lists the columns of all tables and indexes.
func structure(t *testing.T, path string) (list []string) {
	t.Helper()
	db, err := sql.Open("sqlite", DataSource(path, "ro", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT format('%s.%s %s %d %s %d %d', m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.cid)
			FROM sqlite_schema m, pragma_table_xinfo(m.name) c WHERE m.type IN ('table', 'view')
		UNION ALL SELECT format('%s %d %d: %d %s', l.name, l."unique", l.partial, c.seqno, c.name)
			FROM sqlite_schema m, pragma_index_list(m.name) l, pragma_index_xinfo(l.name) c WHERE m.type = 'table' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// dieMigrating kills the process in the middle of a migration: all its
// statements are done, and part of the WAL is written.
func dieMigrating(path string) {
	db, err := connect(DataSource(path, "rw", 0, "cache_size(1)"), "", &batchTable{})
	if err != nil {
		panic(err)
	}
	script, err := migrations.ReadFile("migrations/2.sql")
	if err == nil {
		_, err = db.Exec("BEGIN IMMEDIATE;" + string(script) + "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000))")
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

func TestKilledWhileMigrating(t *testing.T) {
	path := version1(t)
	die := exec.Command(os.Args[0])
	die.Env = append(os.Environ(), "TURNSTILE_TEST_DIE_MIGRATING="+path)
	if out, err := die.CombinedOutput(); err == nil || strings.Contains(string(out), "panic") {
		t.Fatalf("it was not killed: %v, %s", err, out)
	}
	if v := version(t, path); v != 1 {
		t.Errorf("half a migration has made it version %d", v)
	}
	checkVersion1(t, path)
	open(t, path)
	if v := version(t, path); v != 2 {
		t.Errorf("version %d after the second attempt", v)
	}
	checkVersion1(t, path)
}
