package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
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

  consumer query "SELECT borough, count(*) FROM ridership GROUP BY borough"
  consumer query --format csv "SELECT * FROM ridership" >rides.csv
  consumer query "SELECT name, sql FROM sqlite_schema"

It only reads, also beside a running consumer. ridership is a view of all rows
as the MTA publishes them; the tables are ride, station, fare, source, reject
and meta.
`

const queryManual = `
text shows at most 1,000 rows, and of a value 1,000 characters; csv and json
all. NULL is empty in text and CSV.
A BLOB that is no UTF-8 text is X'...' in hexadecimal digits. Infinity is "+Inf"
or "-Inf" in JSON.
The JSON document: {"columns": [NAME, ...], "rows": [[VALUE, ...], ...]}
`

// maxTableRows and maxCell, in characters, bound a table: its widths need all of it in
// memory, and each cell is as wide as the widest of its column. A record may have 960 KiB.
const (
	maxTableRows = 1000
	maxCell      = 1000
)

func query(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("consumer query", queryHelp)
	f.Manual(queryManual)
	db := f.String("db", defaultDatabase, "the database `FILE`")
	result := f.ResultFlags("text", "csv", "json")
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if strings.HasPrefix(f.Arg(0), ".") {
		return cli.Usagef(dotHint(f.Arg(0), *db), "%s is a command of the sqlite3 shell, not SQL", f.Arg(0))
	}
	if f.NArg() != 1 {
		return cli.Usagef(`quote it as one word: consumer query "SELECT count(*) FROM ridership"`, "want one SQL statement, got %d words", f.NArg())
	}
	if err := result.Check(); err != nil {
		return err
	}
	r, err := store.OpenReader(ctx, *db)
	if err != nil {
		return err
	}
	err = errors.Join(result.Write(env, func(w io.Writer, _ bool) error {
		if result.Format == "text" {
			return showTable(ctx, r, f.Arg(0), w)
		}
		show := showCSV
		if result.Format == "json" {
			show = showJSON
		}
		return buffered(w, func(w io.Writer) error { return show(ctx, r, f.Arg(0), w) })
	}), r.Close())
	if err != nil && ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return err
}

// dotHint returns what does here what a command of the sqlite3 shell does there.
func dotHint(command, db string) string {
	switch name, _, _ := strings.Cut(command, " "); name {
	case ".tables":
		return `consumer query "SELECT name, type FROM sqlite_schema"`
	case ".schema":
		return `consumer query --format csv "SELECT sql FROM sqlite_schema"`
	case ".mode", ".headers", ".once", ".output":
		return "the form of the result is set with --format, and its file with --output"
	}
	return "use the shell: sqlite3 -readonly " + cli.ShellQuote(db)
}

// errEnough ends a query whose table is full.
var errEnough = errors.New("enough rows")

func showTable(ctx context.Context, r *store.Reader, query string, w io.Writer) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	n, cut := 0, false
	var names []string
	var widths []int
	err := r.Query(ctx, query, func(columns []string) error {
		for _, name := range columns {
			names = append(names, oneLine(name))
			widths = append(widths, text.StringWidth(oneLine(name)))
		}
		t.AppendHeader(tableRow(names))
		return nil
	}, func(row []any) error {
		if n == maxTableRows {
			return errEnough
		}
		n++
		cells := make(table.Row, len(row))
		for i, v := range row {
			short := false
			cells[i], short = tableCell(v)
			cut = cut || short
			widths[i] = max(widths[i], text.StringWidth(fmt.Sprint(cells[i])))
		}
		t.AppendRow(cells)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	shown, longest := len(names), slices.Max(widths)
	if cli.IsTerminal(w) {
		shown, longest = fitColumns(widths, cli.Width(w))
		t.SetColumnConfigs(columnConfigs(len(names), shown, longest))
	}
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	notes := ""
	if cut || slices.Max(widths[:shown]) > longest {
		notes += "… is where a value was cut to fit; whole: --format csv\n"
	}
	if shown < len(names) {
		notes += "not shown for want of space: " + strings.Join(names[shown:], ", ") + "; all of them: --format csv\n"
	}
	if errors.Is(err, errEnough) {
		notes += fmt.Sprintf("the first %s rows; all of them: --format csv\n", formatCount(maxTableRows))
	}
	return cli.WriteText(w, notes)
}

// tableCell returns a value as a cell, and whether it was cut. A number stays one: the
// table aligns it to the right.
func tableCell(v any) (c any, cut bool) {
	switch v.(type) {
	case int64, float64:
		return v, false
	}
	whole, n := cell(v), 0
	for i := range whole {
		if n == maxCell {
			return oneLine(whole[:i]) + "…", true
		}
		n++
	}
	return oneLine(whole), false
}

// minCut is the width to which a cell may be cut to make room for another column.
// No number is wider.
const minCut = 24

// fitColumns returns how many columns, of these widths, fit a terminal, at least one,
// and the width to which wider ones have to be cut for that.
func fitColumns(widths []int, width int) (shown, longest int) {
	for shown = len(widths); ; shown-- {
		room := width - 1 - 3*shown // without the borders
		widest := slices.Max(widths[:shown])
		longest = max(min(widest, room), 1)
		for longest > 1 && cutWidth(widths[:shown], longest) > room {
			longest--
		}
		if shown == 1 || longest >= min(minCut, widest) {
			return shown, longest
		}
	}
}

// cutWidth returns the width of all columns together when none is wider than longest.
func cutWidth(widths []int, longest int) (sum int) {
	for _, w := range widths {
		sum += min(w, longest)
	}
	return sum
}

// columnConfigs hides the columns that do not fit, and cuts the others.
func columnConfigs(columns, shown, longest int) (configs []table.ColumnConfig) {
	for i := range columns {
		configs = append(configs, table.ColumnConfig{
			Number: i + 1, Hidden: i >= shown, WidthMax: longest,
			WidthMaxEnforcer: func(s string, width int) string { return text.Snip(s, width, "…") },
		})
	}
	return configs
}

func tableRow(names []string) (row table.Row) {
	for _, name := range names {
		row = append(row, name)
	}
	return row
}

// oneLine keeps a value from breaking the table, or writing to the terminal.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'")) // \n
		}
	}
	return b.String()
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
	if out.Flush(); err == nil {
		return out.Error()
	}
	return err
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
			if values[i] = v; !inJSON(v) {
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

// inJSON reports whether JSON has that value. Others are text there.
func inJSON(v any) bool {
	switch v := v.(type) {
	case []byte:
		return false
	case float64:
		return !math.IsInf(v, 0)
	}
	return true
}

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
