package mta

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
		line         int64
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
		f, err := OpenFile(t.Context(), write(t, test.name, test.data), nil, test.options)
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

// TestRefused has every reason to refuse a file.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name, data, problem string
		kind                FileErrorKind // 0: a *ColumnsError
	}{
		{"empty.csv", "", "is empty", IsEmpty},
		{"blank.csv", "\n,,,\n\n", "is empty", IsEmpty},
		{"empty.csv.gz", string(pack(t, "")), "is empty", IsEmpty},
		{"headless.csv", "7/5/2022,13:00,subway\n", "lack a time (transit_timestamp, or transit_date and transit_time), station_complex_id, ridership; found \"7/5/2022,13:00,subway\"", 0},
		{"lacking.csv", "transit_timestamp,ridership\n", "lack station_complex_id;", 0},
		{"twice.csv", shortHeader + ",Ridership\n", "more than one ridership;", 0},
		{"quote.csv", "\"" + shortFile, "a quote is not closed", 0},
		{"long.csv", strings.Repeat("x", 100_000), "the line is too long", 0},
		{"wide.csv", shortHeader + strings.Repeat(",x", 5000) + "\n", "more than 8192", 0},
		{"utf16.csv", "\xff\xfet\x00r\x00", "UTF-16", IsUTF16},
		{"utf16.csv", "\xfe\xff\x00t\x00r", "UTF-16", IsUTF16},
		{"utf16.csv", "t\x00r\x00", "UTF-16", IsUTF16},
		{"misspelt.csv", "transit_timestmp,station_complex_id,ridership\n", "lack a time", 0},
		{"misspelt.csv", "Transit Timestamp;Station Complex ID;Riderships\n", "lack a time", 0},
		{"headless.csv", "7/5/2022 13:00,10,subway\n", "lack a time", 0},
		{"mixed.csv", "transit_timestamp;station_complex_id;ridership,transfers\n", "lack", 0},
		{"book.xlsx", "PK\x03\x04... xl/workbook.xml", "workbook", IsWorkbook},
		{strings.Repeat("n", 201), shortFile, "has 201 bytes, want 200 at most", BadSource},
		{ReservedSource, shortFile, "reserved for", BadSource},
	} {
		path := write(t, test.name, []byte(test.data))
		_, err := OpenFile(t.Context(), path, nil, FileOptions{})
		kind := FileErrorKind(0)
		if file, ok := errors.AsType[*FileError](err); ok {
			kind = file.Kind
		} else if _, ok := errors.AsType[*ColumnsError](err); !ok {
			t.Errorf("%s: got %v of type %T", test.name, err, err)
			continue
		}
		if !strings.Contains(err.Error(), test.problem) || kind != test.kind {
			t.Errorf("%s: got %v of kind %d, want kind %d", test.name, err, kind, test.kind)
		}
	}
	if _, err := OpenFile(t.Context(), t.TempDir(), nil, FileOptions{}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: got %v", err)
	}
	if _, err := OpenFile(t.Context(), filepath.Join(t.TempDir(), "absent"), nil, FileOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	for _, path := range []string{"/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"} {
		_, err := OpenFile(t.Context(), path, nil, FileOptions{})
		if e, ok := errors.AsType[*FileError](err); !ok || e.Kind != BadSource {
			t.Errorf("%s: got %v", path, err)
		}
	}
	_, err := OpenFile(t.Context(), "empty", nil, FileOptions{})
	if _, ok := errors.AsType[*FileError](err); ok {
		t.Errorf("no file: got %v", err)
	}
}

func TestSource(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "rides of May 2022.csv": true, "Straße": true, strings.Repeat("n", 200): true,
		"": false, " ": false, " a": false, "a\t": false, "a\nb": false, "a\x00b": false, "\xff": false, ReservedSource: false, strings.Repeat("n", 201): false,
	} {
		if err := CheckSource(name); (err == nil) != ok {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestStandardInput(t *testing.T) {
	if _, err := OpenFile(t.Context(), "-", strings.NewReader(shortFile), FileOptions{}); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("without a name: got %v", err)
	}
	for _, data := range []string{shortFile, string(pack(t, shortFile))} {
		f, err := OpenFile(t.Context(), "-", strings.NewReader(data), FileOptions{Source: "s"})
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
	for from, want := range map[uint32][]int64{0: {2, 5, 6}, 1: {2, 5, 6}, 2: {2, 5, 6}, 3: {5, 6}, 5: {5, 6}, 6: {6}, 7: nil, 99: nil} {
		f, err := NewFile(strings.NewReader(data), FileOptions{Source: "s", FromLine: from})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for {
			c, err := f.Next(1<<20, 1)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Records == 1 {
				got = append(got, c.Line+int64(bytes.Count(c.Data[:len(c.Data)-len(bytes.TrimLeft(c.Data, "\n"))], newline)))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from line %d: got lines %v, want %v", from, got, want)
		}
	}
}

// The place where a file is divided into messages must not change how its records
// are classified.

const shortHeader = "transit_timestamp,station_complex_id,ridership"

// A judged record is one record with its classification.
type judged struct {
	line int64
	raw  string
	says string // the ride column by column, or the reject
}

// judgements returns the classified records of a chunk, by line. It parses the
// chunk in parts, whose size must not matter.
func judgements(p *Parser, c Chunk) (all []judged, blank int) {
	maxSize := 1 + len(c.Data)%5000
	for more := true; more; more = len(c.Data) > 0 {
		var part Part
		part, c = p.ParseUpTo(c, maxSize)
		dims := p.Dimensions()
		for _, r := range part.Rides {
			all = append(all, judged{int64(r.Line), string(r.Raw), "ride " + describe(r, &dims)})
		}
		for _, r := range part.Rejects {
			for line := r.Line; line < r.Line+r.Lines(); line++ {
				all = append(all, judged{line, string(r.Record), "reject " + r.Column + ": " + r.Reason})
			}
		}
		blank += part.Blank
	}
	slices.SortStableFunc(all, func(a, b judged) int { return int(a.line - b.line) })
	return all, blank
}

func describe(r Ride, d *Dimensions) string {
	var b strings.Builder
	for _, name := range ColumnNames() {
		value, ok := r.Column(d, name)
		fmt.Fprintf(&b, "%q %t|", value, ok)
	}
	return b.String()
}

// pieces reads a few bytes at a time, as a slow pipe would.
type pieces struct {
	r    io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.most)]) }

// cut is a way to read and cut a file.
type cut struct {
	maxBytes, maxRecords int
	piece                int // 0: all at once
}

// through cuts data into chunks, parses each, and checks every chunk's form.
func through(t testing.TB, data []byte, header string, how cut) (all []judged, blank int) {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	if how.piece > 0 {
		r = pieces{r, how.piece}
	}
	f, err := NewFile(r, FileOptions{Source: "s", Columns: header})
	if err != nil {
		t.Fatal(err)
	}
	f.scan.live = how.piece > 0
	p := NewParser()
	rest := data
	for {
		c, err := f.Next(how.maxBytes, how.maxRecords)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Data) > how.maxBytes && c.Records+c.Blank != 1 || how.maxRecords > 0 && c.Records > how.maxRecords || c.Records+c.Blank == 0 {
			t.Fatalf("%+v: a chunk of %d bytes, %d records, %d blank", how, len(c.Data), c.Records, c.Blank)
		}
		if !bytes.HasPrefix(rest, c.Data) {
			t.Fatalf("%+v: the chunk of line %d does not follow on", how, c.Line)
		}
		if rest = rest[len(c.Data):]; c.Length != 0 {
			size, _ := wholeLine(rest)
			rest = rest[size:]
		}
		p.Begin()
		more, empty := judgements(p, c)
		if len(more) != c.Records || empty != c.Blank {
			t.Fatalf("%+v: %d records and %d blank ones were cut, %d and %d parsed", how, c.Records, c.Blank, len(more), empty)
		}
		all, blank = append(all, more...), blank+empty
	}
	if len(rest) != 0 {
		t.Fatalf("%+v: the last %d bytes were not read", how, len(rest))
	}
	return all, blank
}

func sameWhereverCut(t testing.TB, data []byte, header string, how cut) {
	t.Helper()
	want, wantBlank := through(t, data, header, cut{maxBytes: 1, maxRecords: 1})
	got, gotBlank := through(t, data, header, how)
	if !slices.Equal(got, want) || gotBlank != wantBlank {
		t.Errorf("%+v of %.300q\ngot  %.2000q, %d blank\nwant %.2000q, %d blank", how, data, fmt.Sprint(got), gotBlank, fmt.Sprint(want), wantBlank)
	}
	framed := slices.DeleteFunc(frameAll(t, data), func(r framed) bool { return r.blank })
	if len(framed) != len(want) {
		t.Fatalf("%d records were framed, %d parsed", len(framed), len(want))
	}
	for i, r := range framed {
		if int64(r.line) != want[i].line || !strings.HasPrefix(r.raw, want[i].raw) || r.fault != longLine && r.raw != want[i].raw {
			t.Errorf("record %d was framed as %d:%.100q and parsed as %d:%.100q", i, r.line, r.raw, want[i].line, want[i].raw)
		}
		if r.fault != wellFormed && !strings.HasPrefix(want[i].says, "reject") {
			t.Errorf("line %d is faulty and became a %s", r.line, want[i].says)
		}
	}
}

// rowSeeds are rows under shortHeader, good and bad ones side by side.
var rowSeeds = []string{
	"1/1/22 0:00,A002,1\n2022-01-01T00:00:00,610,\"1,031\"\n",
	"1/1/22 0:00,1,1\r\n\r\n,,\r\n1/1/22 0:00,2,2",
	"1/1/22 0:00,\"14 St, \"\"Union\"\" Sq\",1\n1/1/22 0:00,\"a\nb\r\nc\",2\n3,4\n",
	"1/1/22 0:00,a\"b,1\n1/1/22 0:00,ok,1\n\"1/1/22 0:00\"x,b,1\n1/1/22 0:00,ok,1\n",
	"1/1/22 0:00,\"open,1\n1/1/22 0:00,ok,1\n1/1/22 0:00,ok,2\n",
	"1/1/22 0:00,1,1\n\x01\x01\n1/1/22 0:00,2,2\n\"\x01\x01\n\"\n1/1/22 0:00,3,3\n",
	"1/1/22 0:00,\xff,1\n1/1/22 0:00,\x00,1\n1/1/22 0:00,ok,1\n2/30/22 0:00,ok,1\n1/1/22 0:00,,1\n1/1/22 0:00,ok,-1\n",
	"\n\n,,\n\"x\n,,\n\x01\x01\n\n\n",
}

func FuzzChunks(f *testing.F) {
	for i, seed := range append(slices.Clone(csvSeeds), rowSeeds...) {
		f.Add([]byte(seed), uint32(i*7), uint8(i), uint16(i*i))
	}
	f.Fuzz(func(t *testing.T, data []byte, maxBytes uint32, maxRecords uint8, piece uint16) {
		if bytes.Count(data, []byte{1}) > 8 {
			return // hundreds of kilobytes are enough
		}
		data = append([]byte("1/1/22 0:00,1,1\n"), stretch(data)...)
		sameWhereverCut(t, data, shortHeader, cut{1 + int(maxBytes%(1<<21)), int(maxRecords), int(piece)})
	})
}

// TestCutAnywhere mixes good rows with every kind of fault, so that much that
// takes more than one buffer is cut in many places.
func TestCutAnywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var data []byte
	for len(data) < 3<<20 {
		seed := append(slices.Clone(csvSeeds), rowSeeds...)[random.IntN(len(csvSeeds)+len(rowSeeds))]
		if strings.Contains(seed, "\x01") && random.IntN(8) > 0 {
			continue
		}
		data = append(data, stretch([]byte(seed))...)
		for range random.IntN(40) {
			data = append(data, "\n1/1/22 0:00,\"14 St, Union Sq\",1"...)
		}
	}
	data = append([]byte("1/1/22 0:00,1,1\n"), data...)
	for _, how := range []cut{{900 << 10, 0, 0}, {900 << 10, 0, 1000}, {64 << 10, 100, 70_000}, {200, 0, 0}, {4 << 20, 7, 0}} {
		sameWhereverCut(t, data, shortHeader, how)
	}
}
