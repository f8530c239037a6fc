package mta

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// rewrite writes a CSV file with another delimiter.
func rewrite(t *testing.T, text string, delimiter rune) string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, string(bom)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma = delimiter
	if err := w.WriteAll(records); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parsed returns the rides of a file as text, and its rejects by line.
func parsed(t *testing.T, text string, o FileOptions, maxBytes, maxRecords int) (rides []string, rejects map[int64]string) {
	t.Helper()
	o.Source = "s"
	f, err := NewFile(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	rejects = map[int64]string{}
	for p := NewParser(); ; {
		c, err := f.Next(maxBytes, maxRecords)
		if errors.Is(err, io.EOF) {
			return rides, rejects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Data) > maxBytes && c.Records > 1 {
			t.Errorf("a chunk has %d bytes, more than %d", len(c.Data), maxBytes)
		}
		part := p.Parse(c)
		dims := p.Dimensions()
		for _, r := range part.Rides {
			rides = append(rides, fmt.Sprint(r.Line, r.At, r.Ridership, r.Transfers, dims.Stations[r.Station], dims.Fares[r.Fare]))
		}
		for _, r := range part.Rejects {
			rejects[r.Line] = r.Reason
		}
	}
}

// TestDelimiters reads the same rows with every delimiter, detected and named.
func TestDelimiters(t *testing.T) {
	sample, err := os.ReadFile("../../data/sample_split.csv")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := parsed(t, string(sample), FileOptions{}, 1<<20, 0)
	if len(want) != 49 {
		t.Fatalf("%d rows", len(want))
	}
	for _, d := range ";\t|" {
		text := rewrite(t, string(sample), d)
		for _, o := range []FileOptions{{}, {Delimiter: byte(d)}} {
			for _, maxBytes := range []int{1, 500, 1 << 20} {
				got, rejects := parsed(t, text, o, maxBytes, 0)
				if !slices.Equal(got, want) || len(rejects) != 0 {
					t.Errorf("%q in chunks of %d: %d rows, rejects %v", d, maxBytes, len(got), rejects)
				}
			}
		}
		header, rows, _ := strings.Cut(text, "\n")
		for _, columns := range []string{header, strings.ReplaceAll(header, string(d), ",")} {
			if got, _ := parsed(t, rows, FileOptions{Columns: columns}, 1<<20, 7); len(got) != 49 {
				t.Errorf("%q with --columns %s: %d rows", d, columns, len(got))
			}
		}
	}
}

// A flawed record of a converted file is one reject, and the next line is read.
func TestDelimitedFlaws(t *testing.T) {
	text := "transit_timestamp;station_complex_id;ridership;borough\r\n" +
		"1/1/22 0:00;1;1;\"a,b\"\r\n" +
		"1/1/22 0:00;2;2;a,b\r\n" +
		"1/1/22 0:00;3;3;\"open\r\n" +
		"1/1/22 0:00;4;4;a\"b\r\n" +
		";;;\r\n" +
		"1/1/22 0:00;5;5\r\n" +
		"1/1/22 0:00;6;6;" + strings.Repeat("x", MaxRecord) + "\r\n" +
		"1/1/22 0:00;7;7;\"two\r\nlines\"\r\n" +
		"1/1/22 0:00;8;8;"
	rides, rejects := parsed(t, text, FileOptions{}, 1<<20, 0)
	var lines []string
	for _, r := range rides {
		lines = append(lines, r[:strings.Index(r, " ")])
	}
	if got := strings.Join(lines, " "); got != "2 3 9 11" {
		t.Errorf("rides at lines %s", got)
	}
	for line, reason := range map[int64]string{4: "quote", 5: "quote", 7: "3 fields", 8: "bytes"} {
		if !strings.Contains(rejects[line], reason) {
			t.Errorf("line %d: %q, want %q", line, rejects[line], reason)
		}
	}
	if len(rejects) != 4 {
		t.Errorf("rejects %v", rejects)
	}
}

// FuzzConverted compares a converted record with what encoding/csv reads of the
// original.
func FuzzConverted(f *testing.F) {
	for _, seed := range []string{"a;b", ";", "\"a;b\";c\r\n", "a,b;c\n", "\"a\"\"b\";\n", "\"x\ny\";,\n", ";;a,;\n", "a\tb;c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		framer := framer{delimiter: ';'}
		framer.reset([]byte(text), 0, true)
		r, ok := framer.next()
		if !ok || r.fault != wellFormed || r.blank || r.size != len(text) {
			return
		}
		in := csv.NewReader(strings.NewReader(text))
		in.Comma = ';'
		want, err := in.Read()
		if err != nil {
			return
		}
		got, err := csv.NewReader(strings.NewReader(string(appendConverted(nil, []byte(text), ';')))).Read()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	})
}

func TestCheckRows(t *testing.T) {
	const header = "transit_timestamp,station_complex_id,ridership\n"
	bad := strings.Repeat("never,1,1\n", 60) + strings.Repeat("1/1/22 0:00,1\n", 40)
	for name, c := range map[string]struct{ rows, want string }{
		"all rejects": {bad, "the first 100 rows are all rejects: 60 like line 2 (transit_timestamp is \"never\", want a time such as 07/05/2022 01:00:00 PM or 2022-07-05T13:00:00); 40 like line 62 (it has 2 fields, want 3 as in the header)"},
		"one ride":    {bad[10:] + "1/1/22 0:00,1,1\n", ""},
		"fewer rows":  {bad[10:], ""},
	} {
		f, err := NewFile(strings.NewReader(header+c.rows), FileOptions{Source: "s"})
		if err != nil {
			t.Fatal(err)
		}
		err = f.CheckRows(100)
		if (err != nil) != (c.want != "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
