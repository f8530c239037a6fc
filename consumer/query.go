package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"turnstile/internal/cli"
	"turnstile/internal/store"
)

const queryHelp = `
consumer query runs a SELECT on the database and shows the rows.

Usage: consumer query SQL [flags]

  consumer query "SELECT borough, sum(ridership) AS riders FROM ridership GROUP BY borough"
  consumer query --format csv "SELECT * FROM ridership" >rides.csv
  consumer query "SELECT name, sql FROM sqlite_schema"

It only reads, also beside a running consumer. ridership is a view of all rows as
the MTA publishes them; the tables are ride, station, fare, source, reject, meta.
`

const queryManual = `
text shows at most 1,000 rows; csv and json all. NULL is empty in text and CSV.
A BLOB that is no UTF-8 text is X'...' in hexadecimal digits.
The JSON document: {"columns": [NAME, ...], "rows": [[VALUE, ...], ...]}
`

// maxTableRows bounds the rows of a table: its widths need all of them in memory.
const maxTableRows = 1000

func query(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer query", queryHelp)
	f.Manual(queryManual)
	db := f.String("db", defaultDatabase, "the database `FILE`")
	result := f.ResultFlags("text", "csv", "json")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if f.NArg() != 1 {
		return cli.Usagef(`quote it as one word: consumer query "SELECT count(*) FROM ride"`, "want one SQL statement, got %d words", f.NArg())
	}
	if err := result.Check(); err != nil {
		return err
	}
	r, err := store.OpenReader(ctx, *db)
	if err != nil {
		return err
	}
	show := map[string]func(context.Context, *store.Reader, string, io.Writer) error{
		"text": showTable, "csv": showCSV, "json": showJSON,
	}[result.Format]
	err = errors.Join(result.Write(env, func(w io.Writer, _ bool) error {
		buffered := bufio.NewWriter(w)
		return errors.Join(show(ctx, r, f.Arg(0), buffered), buffered.Flush())
	}), r.Close())
	if err != nil && ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return err
}

// errEnough ends a query whose table is full.
var errEnough = errors.New("enough rows")

func showTable(ctx context.Context, r *store.Reader, query string, w io.Writer) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	n := 0
	err := r.Query(ctx, query, func(columns []string) error {
		t.AppendHeader(tableRow(columns))
		return nil
	}, func(row []any) error {
		if n == maxTableRows {
			return errEnough
		}
		n++
		cells := make(table.Row, len(row))
		for i, v := range row {
			switch v.(type) {
			case int64, float64:
				cells[i] = v // numbers are aligned to the right
			default:
				cells[i] = oneLine(cell(v))
			}
		}
		t.AppendRow(cells)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	_, writeErr := fmt.Fprintln(w, t.Render())
	if writeErr == nil && errors.Is(err, errEnough) {
		_, writeErr = fmt.Fprintf(w, "the first %s rows; all of them: --format csv\n", formatCount(maxTableRows))
	}
	return writeErr
}

func tableRow(names []string) (row table.Row) {
	for _, name := range names {
		row = append(row, name)
	}
	return row
}

// oneLine keeps a value from breaking the table, or writing to the terminal.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func showCSV(ctx context.Context, r *store.Reader, query string, w io.Writer) error {
	out := csv.NewWriter(w)
	var record []string
	err := r.Query(ctx, query, out.Write, func(row []any) error {
		record = record[:0]
		for _, v := range row {
			record = append(record, cell(v))
		}
		return out.Write(record)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

// showJSON writes row by row: all of them may not fit the memory.
func showJSON(ctx context.Context, r *store.Reader, query string, w io.Writer) error {
	separator := "\n"
	err := r.Query(ctx, query, func(columns []string) error {
		names, err := json.Marshal(columns)
		if err == nil {
			_, err = fmt.Fprintf(w, "{\n  \"columns\": %s,\n  \"rows\": [", names)
		}
		return err
	}, func(row []any) error {
		values := make([]any, len(row))
		for i, v := range row {
			if values[i] = v; isBytes(v) {
				values[i] = cell(v)
			}
		}
		line, err := json.Marshal(values)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s    %s", separator, line)
		}
		separator = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n  ]\n}\n")
	return err
}

func isBytes(v any) bool { _, ok := v.([]byte); return ok }

// cell returns a value as text.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		return blobText(v)
	}
	return fmt.Sprint(v)
}

// blobText returns a BLOB that is text as it is. Records of rejects mostly are.
func blobText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return fmt.Sprintf("X'%x'", b)
}
