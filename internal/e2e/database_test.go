package e2e

// The script commands that read a database. They use the SQLite driver and none
// of the project's code.

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func openDatabase(ts *testscript.TestScript, file string) *sql.DB {
	// Read-only: the processes of the script write to it meanwhile.
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(ts.MkAbs(file))+"?mode=ro&_pragma=busy_timeout(5000)")
	ts.Check(err)
	return db
}

func waitRows(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 2, "waitrows DB N")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	db := openDatabase(ts, args[0])
	defer db.Close()
	poll(ts, patience, fmt.Sprintf("%d rows in %s", want, args[0]), func() bool {
		rows := 0 // before the first there may be no table, and no file
		if err := db.QueryRow("SELECT count(*) FROM ride").Scan(&rows); err != nil {
			return false
		}
		return rows >= want
	})
}

func query(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 2, "sql DB QUERY")
	if _, err := os.Stat(ts.MkAbs(args[0])); err != nil {
		ts.Fatalf("%v", err)
	}
	db := openDatabase(ts, args[0])
	defer db.Close()
	rows, err := db.Query(args[1])
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		ts.Check(rows.Scan(into...))
		var line []string
		for _, v := range values {
			if !v.Valid {
				v.String = "NULL"
			}
			line = append(line, v.String)
		}
		fmt.Fprintln(ts.Stdout(), strings.Join(line, "|"))
	}
	ts.Check(rows.Err())
}

func flawLines(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 3, "flawlines LIST DB SOURCE")
	var listed, stored []string
	for _, found := range regexp.MustCompile(`(?m)^line (\d+):`).FindAllStringSubmatch(ts.ReadFile(args[0]), -1) {
		listed = append(listed, found[1])
	}
	db := openDatabase(ts, args[1])
	defer db.Close()
	rows, err := db.Query("SELECT line FROM reject JOIN source ON source.id = reject.source WHERE name = ? ORDER BY line", args[2])
	ts.Check(err)
	defer rows.Close()
	for rows.Next() {
		var line string
		ts.Check(rows.Scan(&line))
		stored = append(stored, line)
	}
	ts.Check(rows.Err())
	if len(listed) == 0 || !slices.Equal(listed, stored) {
		ts.Fatalf("spoiled: %v\nrejected: %v", listed, stored)
	}
}

// A tally is what a station's rows sum up to.
type tally struct{ rows, riders, transfers int }

func sums(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg || len(args) != 3, "sums DB SOURCE FILE")
	inFile, err := sumFile(ts.MkAbs(args[2]))
	ts.Check(err)
	db := openDatabase(ts, args[0])
	defer db.Close()
	rows, err := db.Query(`SELECT station_complex_id, count(*), sum(ridership), sum(transfers)
		FROM ridership WHERE source = ? GROUP BY 1`, args[1])
	ts.Check(err)
	defer rows.Close()
	inDB := map[string]tally{}
	for rows.Next() {
		var id string
		var t tally
		ts.Check(rows.Scan(&id, &t.rows, &t.riders, &t.transfers))
		inDB[id] = t
	}
	ts.Check(rows.Err())
	if maps.Equal(inFile, inDB) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(inFile)) {
		if inFile[id] != inDB[id] {
			ts.Logf("station %s: %v in the file, %v in the database", id, inFile[id], inDB[id])
		}
	}
	ts.Fatalf("%d stations in the file, %d in the database, or other sums", len(inFile), len(inDB))
}

// sumFile reads a file without flaws, of any dialect.
func sumFile(name string) (map[string]tally, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range header {
		column[name] = i
	}
	stations := map[string]tally{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return stations, nil
		}
		if err != nil {
			return nil, err
		}
		id := record[column["station_complex_id"]]
		if id == "" {
			continue // a blank record
		}
		t := stations[id]
		riders, err1 := people(record[column["ridership"]])
		transfers, err2 := people(record[column["transfers"]])
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		stations[id] = tally{t.rows + 1, t.riders + riders, t.transfers + transfers}
	}
}

func people(s string) (int, error) {
	return strconv.Atoi(strings.ReplaceAll(strings.TrimSuffix(s, ".0"), ",", ""))
}
