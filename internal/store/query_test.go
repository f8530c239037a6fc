package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestQuery(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "q.db")
	if err := Create(t.Context(), path, "wal"); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	query := func(ctx context.Context, text string) (string, error) {
		got := ""
		err := r.Query(ctx, text, func(columns []string) error { got += fmt.Sprintln(columns); return nil },
			func(row []any) error { got += fmt.Sprintf("%#v\n", row); return nil })
		return got, err
	}
	got, err := query(t.Context(), "SELECT 1 AS a, 1.5 AS b, 'x' AS c, x'00ff' AS d, NULL AS e UNION ALL SELECT 2, 2, 2, 2, 2")
	want := "[a b c d e]\n[]interface {}{1, 1.5, \"x\", []uint8{0x0, 0xff}, interface {}(nil)}\n[]interface {}{2, 2, 2, 2, 2}\n"
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for text, want := range map[string]QueryError{
		"DELETE FROM meta":                  {ReadOnly: true},
		"CREATE TABLE t (a)":                {ReadOnly: true},
		"PRAGMA user_version":               {Pragma: true},
		" /* x */ pragma wal_checkpoint":    {Pragma: true},
		"CREATE TEMP TABLE t (a)":           {ReadOnly: true},
		"BEGIN IMMEDIATE":                   {ReadOnly: true},
		"":                                  {ReadOnly: true},
		"SELECT 1; SELECT 2":                {Several: true},
		"PRAGMA query_only=0; SELECT 1":     {Several: true},
		"SELECT ';' ; /* ; */ VALUES (1)":   {Several: true},
		"SELECT absent FROM ride":           {Unknown: true},
		"SELEC 1":                           {},
		"ATTACH '" + dir + "/a.db' AS a":    {ReadOnly: true},
		"VACUUM INTO '" + dir + "/copy.db'": {ReadOnly: true},
		"SELECT load_extension('x')":        {},
	} {
		_, err := query(t.Context(), text)
		if e, ok := errors.AsType[*QueryError](err); !ok || e.ReadOnly != want.ReadOnly || e.Several != want.Several || e.Unknown != want.Unknown || e.Pragma != want.Pragma {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"SELECT 1;", "SELECT ';x', \";y\", [;z], 'it''s; x' FROM (SELECT 1 AS \";y\", 2 AS [;z]); -- a ; b\n /* ; SELECT 2 */ ;",
		"/* ; */ SELECT 1 -- ; SELECT 2", "SELECT name FROM pragma_table_info('ride')", "SELECT 1 AS pragma",
	} {
		if _, err := query(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, name := range []string{"a.db", "copy.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("a query has written %s", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := query(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"); err == nil || ctx.Err() == nil {
		t.Errorf("an endless query: %v", err)
	}
	stop := errors.New("stop")
	err = r.Query(t.Context(), "SELECT 1", func([]string) error { return nil }, func([]any) error { return stop })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

// TestQueryAsStored: values of another program's table are as they are stored, whatever
// the types of its columns, and in the order of the query.
func TestQueryAsStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.db")
	if err := Create(t.Context(), path, "wal"); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{
		`CREATE TABLE own (n, "the ""date""" DATE, at TIMESTAMP, moment DATETIME, yes BOOLEAN)`,
		`INSERT INTO own VALUES (1, '2023-03-31', '2023-03-31 17:00:00', '2023-03-31T17:00:00Z', 5), (2, 20230331, 1.5, x'00', NULL)`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := `["n" "the \"date\"" "at" "moment" "yes" "yes"]` + "\n" +
		"[]interface {}{2, 20230331, 1.5, []uint8{0x0}, interface {}(nil), interface {}(nil)}\n" +
		"[]interface {}{1, \"2023-03-31\", \"2023-03-31 17:00:00\", \"2023-03-31T17:00:00Z\", 5, 5}\n"
	for _, text := range []string{
		"SELECT *, yes FROM own ORDER BY n DESC",
		"WITH mine AS (SELECT * FROM own) SELECT *, yes FROM mine ORDER BY n DESC LIMIT 2 -- all\n ; /* ; */",
	} {
		got := ""
		err := r.Query(t.Context(), text, func(columns []string) error { got += fmt.Sprintf("%q\n", columns); return nil },
			func(row []any) error { got += fmt.Sprintf("%#v\n", row); return nil })
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s, want\n%s", text, err, got, want)
		}
	}
}
