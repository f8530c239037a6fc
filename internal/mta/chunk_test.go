// Where a file is cut into messages must not matter: neither to what its rows
// become, nor to what is wrong with them.

package mta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const shortHeader = "transit_timestamp,station_complex_id,ridership"

// A judged record is what became of it.
type judged struct {
	line int64
	raw  string
	says string // the ride column by column, or the reject
}

// judgements are all of a part's, by line.
func judgements(p *Parser, c Chunk) (all []judged, blank int) {
	part := p.Parse(c)
	dims := p.Dimensions()
	for _, r := range part.Rides {
		all = append(all, judged{int64(r.Line), string(r.Raw), "ride " + describe(r, &dims)})
	}
	for _, r := range part.Rejects {
		all = append(all, judged{r.Line, string(r.Record), "reject " + r.Column + ": " + r.Reason})
	}
	slices.SortStableFunc(all, func(a, b judged) int { return int(a.line - b.line) })
	return all, part.Blank
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
			size, _ := lineEnd(rest)
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
		if int64(r.line) != want[i].line || !strings.HasPrefix(r.raw, want[i].raw) || r.fault != long && r.raw != want[i].raw {
			t.Errorf("record %d was framed as %d:%.100q and parsed as %d:%.100q", i, r.line, r.raw, want[i].line, want[i].raw)
		}
		if r.fault != sound && !strings.HasPrefix(want[i].says, "reject") {
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
