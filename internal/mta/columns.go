// Columns are found by name, in any order. Files of every origin have the same
// columns, but each origin orders and writes them differently.

package mta

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The known columns, in the order of the portal's file.
const (
	colTimestamp = iota
	colDate
	colTime
	colMode
	colComplexID
	colComplex
	colBorough
	colPayment
	colFareClass
	colRidership
	colTransfers
	colLatitude
	colLongitude
	colGeoreference
	knownColumns
)

var columnNames = [knownColumns]string{
	"transit_timestamp", "transit_date", "transit_time", "transit_mode", "station_complex_id", "station_complex",
	"borough", "payment_method", "fare_class_category", "ridership", "transfers", "latitude", "longitude", "georeference",
}

const timeNeeded = "a time (transit_timestamp, or transit_date and transit_time)"

// Columns is a parsed header record.
type Columns struct {
	at      [knownColumns]int // the index of each known column, -1 if absent
	count   int               // of all columns, including unknown ones
	ignored []string
	day     int   // the column with the date, -1 if clock has both
	clock   int   // the column with the time
	station []run // the columns of a Station
	fare    []run // the columns of a Fare
}

// A run is adjacent columns, first to last.
type run struct{ first, last int }

// ParseColumns parses a header record. The error is a *ColumnsError.
func ParseColumns(header string) (*Columns, error) {
	c, bad := parseColumns(header)
	if bad != nil {
		return nil, bad
	}
	return c, nil
}

func parseColumns(header string) (*Columns, *ColumnsError) {
	if len(header) > maxHeader {
		return nil, &ColumnsError{Problem: fmt.Sprintf("the header record has %d bytes, more than %d", len(header), maxHeader)}
	}
	names, bad := splitHeader(header)
	if bad != nil {
		return nil, bad
	}
	c := &Columns{count: len(names)}
	for i := range c.at {
		c.at[i] = -1
	}
	var twice []string
	for i, name := range names {
		known := slices.Index(columnNames[:], strings.ToLower(strings.TrimSpace(name)))
		switch {
		case known < 0:
			c.ignored = append(c.ignored, nameOr(name, i))
		case c.at[known] >= 0:
			if !slices.Contains(twice, columnNames[known]) { // every reject repeats the reason
				twice = append(twice, columnNames[known])
			}
		default:
			c.at[known] = i
		}
	}
	if missing := c.missing(); len(missing) > 0 || len(twice) > 0 {
		return nil, &ColumnsError{Missing: missing, Duplicate: twice, Found: names}
	}
	c.chooseTime()
	c.station = c.runs(colMode, colComplexID, colComplex, colBorough, colLatitude, colLongitude, colGeoreference)
	c.fare = c.runs(colPayment, colFareClass)
	return c, nil
}

// splitHeader uses encoding/csv, so that the names are those that other programs
// read. It runs once per file.
func splitHeader(header string) ([]string, *ColumnsError) {
	r := csv.NewReader(strings.NewReader(header))
	r.FieldsPerRecord = -1
	names, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, &ColumnsError{Problem: "there are no columns"}
	case err != nil:
		return nil, &ColumnsError{Problem: "the columns are not CSV: " + err.Error()}
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, &ColumnsError{Problem: "the columns are more than one line"}
	}
	return names, nil
}

// nameOr returns a column's name, or its number if it has none. pandas writes
// its index into a column without a name.
func nameOr(name string, i int) string {
	if name = strings.TrimSpace(name); name == "" {
		return "column " + strconv.Itoa(i+1) + " (no name)"
	}
	return name
}

func (c *Columns) missing() []string {
	var missing []string
	if !c.has(colTimestamp) && !(c.has(colDate) && c.has(colTime)) {
		missing = append(missing, timeNeeded)
	}
	for _, col := range []int{colComplexID, colRidership} {
		if !c.has(col) {
			missing = append(missing, columnNames[col])
		}
	}
	return missing
}

// chooseTime decides which columns have the time. Some files have a date and a
// time of day, some have one column for both, and one kind calls its time of day
// transit_timestamp.
func (c *Columns) chooseTime() {
	spare := -1
	switch {
	case c.has(colDate) && c.has(colTime):
		c.day, c.clock, spare = colDate, colTime, colTimestamp
	case c.has(colDate):
		c.day, c.clock = colDate, colTimestamp
	default:
		c.day, c.clock, spare = -1, colTimestamp, colTime
	}
	if spare >= 0 && c.has(spare) {
		c.ignored = append(c.ignored, columnNames[spare])
	}
}

func (c *Columns) has(col int) bool { return c.at[col] >= 0 }

// runs groups columns that are adjacent in the file. The bytes of a run are part
// of a key without being split into fields.
func (c *Columns) runs(cols ...int) []run {
	var at []int
	for _, col := range cols {
		if c.has(col) {
			at = append(at, c.at[col])
		}
	}
	slices.Sort(at)
	var runs []run
	for _, i := range at {
		if n := len(runs); n > 0 && runs[n-1].last == i-1 {
			runs[n-1].last = i
		} else {
			runs = append(runs, run{i, i})
		}
	}
	return runs
}

// Ignored returns the columns that are not stored, as the header spells them.
func (c *Columns) Ignored() []string { return slices.Clone(c.ignored) }

// Absent returns the columns that the header lacks. They are stored as NULL.
func (c *Columns) Absent() []string {
	var absent []string
	for col, name := range columnNames {
		if col > colTime && !c.has(col) {
			absent = append(absent, name)
		}
	}
	return absent
}

// maxHeader leaves room for rows in a message, because each message carries the
// header. It also bounds what the parser caches for messages of other programs.
const maxHeader = 8 << 10

// cleanHeader makes a header record fit for a message header, which is one line
// of text: each control character becomes a space.
func cleanHeader(rec string) string {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(rec, "\uFFFD"))
	return strings.TrimSpace(line)
}

// A ColumnsError is a header record that can't be used.
type ColumnsError struct {
	Path      string   // the file, "" where there is none
	Missing   []string // required columns that are absent
	Duplicate []string // columns that occur more than once
	Found     []string // the columns of the header
	Problem   string   // anything else, "" otherwise
}

func (e *ColumnsError) Error() string {
	if e.Path == "" {
		return e.reason()
	}
	return e.Path + ": " + e.reason()
}

// reason is the error without its operand: the reason of a reject.
func (e *ColumnsError) reason() string {
	var parts []string
	if e.Problem != "" {
		parts = append(parts, e.Problem)
	}
	if len(e.Missing) > 0 {
		parts = append(parts, "the columns lack "+strings.Join(e.Missing, ", "))
	}
	if len(e.Duplicate) > 0 {
		parts = append(parts, "the columns have more than one "+strings.Join(e.Duplicate, ", "))
	}
	reason := strings.Join(parts, "; ")
	if len(e.Found) > 0 {
		reason += fmt.Sprintf("; found %q", shorten(strings.Join(e.Found, ",")))
	}
	return reason
}

// Misspelt returns the first column that is probably a misspelt required one, and
// the right name.
func (e *ColumnsError) Misspelt() (found, want string, ok bool) {
	required := []string{columnNames[colTimestamp], columnNames[colDate], columnNames[colTime], columnNames[colComplexID], columnNames[colRidership]}
	if len(e.Missing) == 0 {
		return "", "", false
	}
	missing := strings.Join(e.Missing, ",") // an entry may name two that would do
	required = slices.DeleteFunc(required, func(name string) bool { return !strings.Contains(missing, name) })
	for _, found := range e.Found {
		if want, ok := Nearest(found, required); ok && !strings.EqualFold(strings.TrimSpace(found), want) {
			return found, want, true
		}
	}
	return "", "", false
}

// Nearest returns the first of some names that a name probably stands for: at most two
// characters differ, in other than case and blanks.
func Nearest(name string, names []string) (nearest string, ok bool) {
	plain := func(s string) string {
		return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(s)))
	}
	name = plain(name)
	i := slices.IndexFunc(names, func(other string) bool {
		return distance(name, plain(other)) <= min(2, len(other)/2)
	})
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// NoHeader tells whether the header record looks like a row: it has no known
// column, and a field that is a number.
func (e *ColumnsError) NoHeader() bool {
	number := false
	for _, name := range e.Found {
		if slices.Contains(columnNames[:], strings.ToLower(strings.TrimSpace(name))) {
			return false
		}
		_, err := strconv.ParseFloat(name, 64)
		number = number || err == nil
	}
	return number
}

// distance returns how many characters must be inserted, deleted or replaced to
// make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// OtherDelimiter tells whether the columns seem to be separated by another
// character than the delimiter.
func (e *ColumnsError) OtherDelimiter() bool {
	return len(e.Found) == 1 || slices.ContainsFunc(e.Found, func(name string) bool { return strings.ContainsAny(name, ";\t|") })
}
