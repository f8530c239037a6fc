package mta

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(t *testing.T, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const shortFile = shortHeader + "\n1/1/22 0:00,1,1\n1/1/22 0:00,2,2\n"

func TestOpenFile(t *testing.T) {
	for _, test := range []struct {
		name, source string
		data         []byte
		options      FileOptions
		line         uint32
	}{
		{name: "rows.csv", source: "rows.csv", data: []byte(shortFile), line: 2},
		{name: "rows.csv.gz", source: "rows.csv", data: pack(t, shortFile), line: 2},
		{name: "rows.CSV.GZ", source: "rows.CSV", data: []byte(shortFile), line: 2}, // the name lies
		{name: "packed.csv", source: "packed.csv", data: pack(t, "\xef\xbb\xbf"+shortFile), line: 2},
		{name: "bom.csv", source: "bom.csv", data: []byte("\xef\xbb\xbf" + shortFile), line: 2},
		{name: "named.csv", source: "other", data: []byte(shortFile), line: 2, options: FileOptions{Source: "other"}},
		{name: "late.csv", source: "late.csv", data: []byte("\n,,,\r\n" + shortFile), line: 4},
		{name: "headless.csv", source: "headless.csv", data: []byte(shortFile[len(shortHeader)+1:]), line: 1, options: FileOptions{Columns: shortHeader}},
		{name: "headless.csv", source: "headless.csv", data: []byte("\xef\xbb\xbf" + shortFile[len(shortHeader)+1:]), line: 1, options: FileOptions{Columns: " " + shortHeader + "\n"}},
	} {
		f, err := OpenFile(write(t, test.name, test.data), nil, test.options)
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Next(1<<20, 0)
		if err != nil {
			t.Fatal(err)
		}
		if c.Source != test.source || f.Source() != test.source || c.Columns != shortHeader || f.Header() != shortHeader ||
			c.Line != test.line || c.Records != 2 || string(c.Data) != shortFile[len(shortHeader)+1:] {
			t.Errorf("%s: got %+v", test.name, c)
		}
		if _, err := f.Next(1<<20, 0); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the end: %v", test.name, err)
		}
		if f.Offset() != int64(len(test.data)) || f.Size() != int64(len(test.data)) {
			t.Errorf("%s: read %d of %d bytes, want %d", test.name, f.Offset(), f.Size(), len(test.data))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRefused has what a file is refused for, and the hint that helps.
func TestRefused(t *testing.T) {
	for _, test := range []struct{ name, data, problem, hint string }{
		{"empty.csv", "", "is empty", "header"},
		{"blank.csv", "\n,,,\n\n", "is empty", "header"},
		{"empty.csv.gz", string(pack(t, "")), "is empty", "header"},
		{"headless.csv", "7/5/2022,13:00,subway\n", "lack a time (transit_timestamp, or transit_date and transit_time), station_complex_id, ridership; found \"7/5/2022,13:00,subway\"", "--columns"},
		{"lacking.csv", "transit_timestamp,ridership\n", "lack station_complex_id;", "--columns"},
		{"twice.csv", shortHeader + ",Ridership\n", "more than one ridership;", "rename"},
		{"quote.csv", "\"" + shortFile, "a quote is not closed", "--columns"},
		{"long.csv", strings.Repeat("x", 100_000), "the line is too long", "--columns"},
		{"wide.csv", shortHeader + strings.Repeat(",x", 5000) + "\n", "more than 8192", "--columns"},
		{"utf16.csv", "\xff\xfet\x00r\x00", "UTF-16", "iconv"},
		{"utf16.csv", "\xfe\xff\x00t\x00r", "UTF-16", "iconv"},
		{"book.xlsx", "PK\x03\x04...", "workbook", "save it as CSV"},
		{strings.Repeat("n", 201), shortFile, "has 201 bytes, want 200 at most", "--source"},
		{Foreign, shortFile, "kept for", "--source"},
	} {
		path := write(t, test.name, []byte(test.data))
		_, err := OpenFile(path, nil, FileOptions{})
		var hinted interface{ Hint() string }
		if !errors.As(err, &hinted) {
			t.Errorf("%s: got %v, want a hint", test.name, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "mta: ") || !strings.Contains(err.Error(), test.problem) || !strings.Contains(hinted.Hint(), test.hint) {
			t.Errorf("%s: got %v\nhint: %s", test.name, err, hinted.Hint())
		}
	}
	if _, err := OpenFile(t.TempDir(), nil, FileOptions{}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: got %v", err)
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "absent"), nil, FileOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	_, err := OpenFile("empty", nil, FileOptions{})
	if _, ok := errors.AsType[*FileError](err); ok {
		t.Errorf("no file: got %v", err)
	}
}

func TestSource(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "rides of May 2022.csv": true, "Straße": true, strings.Repeat("n", 200): true,
		"": false, " ": false, " a": false, "a\t": false, "a\nb": false, "a\x00b": false, "\xff": false, Foreign: false, strings.Repeat("n", 201): false,
	} {
		if err := CheckSource(name); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestStandardInput(t *testing.T) {
	if _, err := OpenFile("-", strings.NewReader(shortFile), FileOptions{}); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("without a name: got %v", err)
	}
	for _, data := range []string{shortFile, string(pack(t, shortFile))} {
		f, err := OpenFile("-", strings.NewReader(data), FileOptions{Source: "s"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Next(1<<20, 0)
		if err != nil || c.Records != 2 || c.Source != "s" || f.Size() != -1 {
			t.Errorf("got %+v, %v", c, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFromLine(t *testing.T) {
	data := shortHeader + "\n1/1/22 0:00,\"a\nb\",1\n\n\"" + strings.Repeat("x", 100_000) + "\n1/1/22 0:00,2,2\n"
	for from, want := range map[uint32][]uint32{0: {2, 5, 6}, 1: {2, 5, 6}, 2: {2, 5, 6}, 3: {5, 6}, 5: {5, 6}, 6: {6}, 7: nil, 99: nil} {
		f, err := NewFile(strings.NewReader(data), FileOptions{Source: "s", FromLine: from})
		if err != nil {
			t.Fatal(err)
		}
		var got []uint32
		for {
			c, err := f.Next(1<<20, 1)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Records == 1 {
				got = append(got, c.Line+uint32(bytes.Count(c.Data[:len(c.Data)-len(bytes.TrimLeft(c.Data, "\n"))], newline)))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from line %d: got lines %v, want %v", from, got, want)
		}
	}
}
