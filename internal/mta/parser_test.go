package mta

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

const (
	portalRow = "07/05/2022 01:00:00 PM,subway,445,Pelham Pkwy (5),Bronx,metrocard,Metrocard - Unlimited 30-Day,6,0,40.8589859,-73.85536194,POINT (-73.85536193847656 40.858985900878906)"
	apiRow    = `"2022-07-05T13:00:00.000","subway","445","Pelham Pkwy (5)","Bronx","metrocard","Metrocard - Unlimited 30-Day","6.0","0.0","40.8589859","-73.85536194","POINT (-73.85536193847656 40.858985900878906)"`
)

// TestDialects writes one and the same ride in the ways of the wild.
func TestDialects(t *testing.T) {
	p := NewParser()
	want := ""
	for _, test := range []struct{ name, header, row string }{
		{"portal", portalHeader, portalRow + "\n"},
		{"API", strings.ToLower(portalHeader), apiRow + "\n"},
		{"Excel", "Line," + portalHeader, "17," + strings.Replace(portalRow, "07/05/2022 01:00:00 PM", "7/5/2022 13:00", 1) + "\r\n"},
		{"split", strings.Replace(portalHeader, "transit_timestamp", "transit_date,transit_time", 1), strings.Replace(portalRow, "07/05/2022 01:00:00 PM", "7/5/2022,13:00", 1)},
		{"split, timestamp", strings.Replace(portalHeader, "transit_timestamp", "transit_date,transit_timestamp", 1), strings.Replace(portalRow, "07/05/2022 01:00:00 PM", "7/5/2022,13:00", 1)},
		{"pandas", "," + portalHeader, "0," + strings.NewReplacer("07/05/2022 01:00:00 PM", "2022-07-05 13:00:00", ",6,0,", ",6.0,0.0,").Replace(portalRow) + "\n"},
		{"shouted", strings.ToUpper(portalHeader), portalRow + "\n"},
		{
			"reordered", "ridership, Transfers ,georeference,transit_mode,station_complex_id,station_complex,borough,payment_method,fare_class_category,latitude,longitude,transit_timestamp",
			"6,0,POINT (-73.85536193847656 40.858985900878906),subway,445,Pelham Pkwy (5),Bronx,metrocard,Metrocard - Unlimited 30-Day,40.8589859,-73.85536194,7/5/22 13:00\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := judgements(p, Chunk{Source: "s", Columns: test.header, Line: 2, Data: []byte(test.row)})
			if len(got) != 1 || !strings.HasPrefix(got[0].says, "ride ") {
				t.Fatalf("got %v", got)
			}
			if want == "" {
				want = got[0].says
			}
			if got[0].says != want {
				t.Errorf("got  %s\nwant %s", got[0].says, want)
			}
		})
	}
	if d := p.Dimensions(); len(d.Stations) != 1 || len(d.Fares) != 1 {
		t.Errorf("one station and one fare became %d and %d", len(d.Stations), len(d.Fares))
	}
	const ride = `ride "2022-07-05 13:00:00" true|"subway" true|"445" true|"Pelham Pkwy (5)" true|"Bronx" true|"metrocard" true|` +
		`"Metrocard - Unlimited 30-Day" true|"6" true|"0" true|"40.8589859" true|"-73.85536194" true|"POINT (-73.85536193847656 40.858985900878906)" true|`
	if want != ride {
		t.Errorf("got  %s\nwant %s", want, ride)
	}
}

// TestAbsentColumns stores absent columns as NULL, and empty ones as empty text.
func TestAbsentColumns(t *testing.T) {
	p := NewParser()
	got, _ := judgements(p, Chunk{Columns: shortHeader + ",latitude,borough", Line: 2, Data: []byte("7/5/22 13:00,007,6,,\n")})
	const want = `ride "2022-07-05 13:00:00" true|"" false|"007" true|"" false|"" true|"" false|"" false|"6" true|"" false|"" false|"" false|"" false|`
	if len(got) != 1 || got[0].says != want {
		t.Errorf("got %v", got)
	}
}

// TestNeighboursApart keeps two stations apart whose columns, not beside each
// other in the file, spell the same when written together.
func TestNeighboursApart(t *testing.T) {
	p := NewParser()
	part := p.Parse(Chunk{Columns: "station_complex_id,transit_timestamp,ridership,borough", Line: 2, Data: []byte("1,1/1/22 0:00,1,1st\n11,1/1/22 0:00,1,st\n")})
	if len(part.Rides) != 2 || part.Rides[0].Station == part.Rides[1].Station {
		t.Errorf("got %+v", part)
	}
}

// TestRejects has what people will read.
func TestRejects(t *testing.T) {
	row := func(old, new string) string { return strings.Replace(portalRow, old, new, 1) }
	for _, test := range []struct{ row, column, reason string }{
		{row(",6,", ",-3,"), "ridership", `ridership is "-3", want a whole number of 0 or more`},
		{row(",6,", ",99999999999999999999,"), "ridership", `ridership is "99999999999999999999", more than can be counted`},
		{row(",6,", ",,"), "ridership", `ridership is empty, want a whole number of 0 or more`},
		{row(",6,0,", ",6,,"), "transfers", `transfers is empty, want a whole number of 0 or more`},
		{row("07/05", "02/30"), "transit_timestamp", `transit_timestamp is "02/30/2022 01:00:00 PM", a day that does not exist`},
		{row("07/05/2022 01:00:00 PM", "yesterday"), "transit_timestamp", `transit_timestamp is "yesterday", want a time such as 07/05/2022 01:00:00 PM or 2022-07-05T13:00:00`},
		{row(",445,", ",,"), "station_complex_id", "station_complex_id is empty, want the id of a station complex"},
		{row("40.8589859", "140.8589859"), "latitude", `latitude is "140.8589859", want degrees from -90 to 90`},
		{row("-73.85536194", "west"), "longitude", `longitude is "west", want a number of degrees`},
		{row("subway,", ""), "", "it has 11 fields, want 12 as in the header"},
		{portalRow + ",", "", "it has 13 fields, want 12 as in the header"},
		{row("Bronx", "Br\xffnx"), "borough", `borough is "Br\xffnx", which is not UTF-8`},
		{row("Bronx", "Br\x00nx"), "borough", `borough is "Br\x00nx", which has a NUL byte`},
		{row("Bronx,", "\xff"), "", `it is not UTF-8`},
		{row("Bronx", `Br"onx`), "", "a quote stands inside a field that does not begin with one"},
		{row("Bronx", `"Br"onx`), "", "text follows a closing quote"},
		{row("Bronx", `"Bronx`), "", "a quote is not closed"},
		{strings.Repeat("x", 70_000), "", "the line has 70000 bytes, more than 65536"},
		{row(",6,", ","+strings.Repeat("é", 100)+","), "ridership", `ridership is "` + strings.Repeat("é", 30) + `...", want a whole number of 0 or more`},
	} {
		data := portalRow + "\n" + test.row + "\r\n" + portalRow + "\n"
		part := NewParser().Parse(Chunk{Columns: portalHeader, Line: 2, Data: []byte(data)})
		if len(part.Rejects) != 1 || len(part.Rides) != 2 {
			t.Fatalf("%.200q: %d rides, %d rejects", test.row, len(part.Rides), len(part.Rejects))
		}
		got := part.Rejects[0]
		if got.Column != test.column || got.Reason != test.reason || got.Line != 3 || string(got.Record) != test.row+"\r\n" {
			t.Errorf("%.200q\ngot  %d %s: %s\nwant 3 %s: %s", test.row, got.Line, got.Column, got.Reason, test.column, test.reason)
		}
	}
}

// TestForeignChunks parses chunks that no File makes, but any publisher may send.
func TestForeignChunks(t *testing.T) {
	for _, test := range []struct {
		name   string
		chunk  Chunk
		reason string
	}{
		{"no columns", Chunk{Line: 7, Data: []byte("a,b\n")}, "there are no columns"},
		{
			"needed columns missing",
			Chunk{Columns: "borough", Line: 7, Data: []byte("Bronx\n")},
			`the columns lack a time (transit_timestamp, or transit_date and transit_time), station_complex_id, ridership; found "borough"`,
		},
		{"a line too long", Chunk{Columns: shortHeader, Line: 7, Data: bytes.Repeat([]byte{'x'}, 900<<10)}, "the line has 921600 bytes, more than 65536"},
		{"the beginning of a line", Chunk{Columns: shortHeader, Line: 7, Data: []byte("x"), Length: 1 << 20}, "the line has 1048576 bytes, more than 65536"},
	} {
		part := NewParser().Parse(test.chunk)
		if len(part.Rides) != 0 || len(part.Rejects) != 1 || part.Rejects[0].Line != 7 || part.Rejects[0].Reason != test.reason || !bytes.Equal(part.Rejects[0].Record, test.chunk.Data) {
			t.Errorf("%s: got %.300q", test.name, fmt.Sprint(part))
		}
	}
	part := NewParser().Parse(Chunk{Columns: shortHeader, Line: math.MaxUint32, Data: []byte("1/1/22 0:00,1,1\n1/1/22 0:00,2,2\n")})
	if len(part.Rides) != 1 || len(part.Rejects) != 1 || part.Rejects[0].Line != math.MaxUint32+1 {
		t.Errorf("at the last line: got %+v", part)
	}
}

// TestBegin starts new dimensions when hostile rows have filled them, and
// never while a batch is being parsed.
func TestBegin(t *testing.T) {
	p := NewParser()
	p.Begin()
	first := p.Dimensions().Epoch
	var b bytes.Buffer
	for i := range maxDimensions + 1 {
		fmt.Fprintf(&b, "1/1/22 0:00,%d,1\n", i)
	}
	chunk := Chunk{Columns: shortHeader, Line: 1, Data: b.Bytes()}
	p.Parse(chunk)
	full := p.Dimensions()
	if full.Epoch != first || len(full.Stations) != maxDimensions+1 {
		t.Fatalf("epoch %d became %d with %d stations", first, full.Epoch, len(full.Stations))
	}
	p.Begin()
	if d := p.Dimensions(); d.Epoch == first || len(d.Stations)+len(d.Fares) != 0 {
		t.Errorf("after Begin: epoch %d, %d stations", d.Epoch, len(d.Stations))
	}
	part := p.Parse(Chunk{Columns: shortHeader, Line: 9, Data: []byte("1/1/22 0:00,1,1\n")})
	if len(part.Rides) != 1 || full.Stations[part.Rides[0].Station].ComplexID.S != "0" || p.Dimensions().Stations[0].ComplexID.S != "1" {
		t.Errorf("what was handed out before has changed")
	}
	for i := range maxLayouts + 1 {
		p.Parse(Chunk{Columns: fmt.Sprint("x", i), Line: 1, Data: []byte("1\n")})
	}
	before := p.Dimensions().Epoch
	if p.Begin(); p.Dimensions().Epoch == before {
		t.Error("any number of headers is remembered")
	}
}

// TestParseAllocates next to nothing for a row.
func TestParseAllocates(t *testing.T) {
	const rows = 5000
	p, data := NewParser(), portalRows(rows, 0.44)
	parse := func() { p.Parse(Chunk{Columns: portalHeader, Line: 2, Data: data}) }
	parse()
	if n := testing.AllocsPerRun(5, parse); n > 20 {
		t.Errorf("%v allocations for %d rows", n, rows)
	}
}

// The cached station of a row is not used under another header, nor for a
// station whose bytes only begin or end like it.
func TestLastStationMatchesExactly(t *testing.T) {
	const (
		header = "transit_timestamp,station_complex_id,station_complex,borough,ridership"
		other  = "transit_timestamp,station_complex_id,borough,station_complex,ridership"
	)
	p := NewParser()
	read := func(columns, row string) Station {
		t.Helper()
		part := p.Parse(Chunk{Source: "s", Columns: columns, Line: 2, Data: []byte(row)})
		if len(part.Rides) != 1 {
			t.Fatalf("%s: %+v", row, part.Rejects)
		}
		return p.Dimensions().Stations[part.Rides[0].Station]
	}
	for _, c := range []struct{ columns, row, complex, borough string }{
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{other, "2023-01-01 00:00:00,1,A,B,6\n", "B", "A"},
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{header, "2023-01-01 00:00:00,1,A,BC,6\n", "A", "BC"},
		{header, "2023-01-01 00:00:00,1,A,B,6\n", "A", "B"},
		{header, "2023-01-01 00:00:00,1,A,C,6\n", "A", "C"},
		{header, "2023-01-01 00:00:00,1,A,,6\n", "A", ""},
	} {
		s := read(c.columns, c.row)
		if s.Complex.S != c.complex || s.Borough.S != c.borough {
			t.Errorf("%q under %q is %s in %s", c.row, c.columns, s.Complex.S, s.Borough.S)
		}
	}
}

// Equal rejects of consecutive lines are one. A part is bounded by what it
// takes in memory, and the parts of a chunk add up to it.
func TestRejectsInBulk(t *testing.T) {
	const lines = 100_000
	chunk := Chunk{Source: "s", Columns: shortHeader, Line: 2, Data: bytes.Repeat([]byte("x\n"), lines)}
	part := NewParser().Parse(chunk)
	if len(part.Rejects) != 1 || part.Rejects[0].Line != 2 || part.Rejects[0].Last != lines+1 || part.Rejects[0].Lines() != lines {
		t.Errorf("%d rejects, the first %+v; want one of %d lines", len(part.Rejects), part.Rejects[0], lines)
	}
	part = NewParser().Parse(Chunk{Columns: shortHeader, Line: 2, Data: []byte("x\nx\n\nx\n\"x\n\n\"\n\"x\n\n\"\ny\nx")})
	var got []string
	for _, r := range part.Rejects {
		got = append(got, fmt.Sprintf("%d-%d %q", r.Line, r.Last, r.Record))
	}
	want := `2-3 "x\n", 5-5 "x\n", 6-0 "\"x\n\n\"\n", 9-0 "\"x\n\n\"\n", 12-12 "y\n", 13-0 "x"`
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}

	chunk.Data = nil
	for i := range lines {
		chunk.Data = fmt.Appendf(chunk.Data, "%d\n", i%10)
	}
	p := NewParser()
	parts, line := 0, int64(2)
	for rest := chunk; len(rest.Data) > 0; parts++ {
		part, rest = p.ParseUpTo(rest, 1<<20)
		if part.Size() > 1<<20+1000 {
			t.Errorf("a part takes %d bytes", part.Size())
		}
		for _, r := range part.Rejects {
			if r.Line != line {
				t.Fatalf("line %d follows %d", r.Line, line-1)
			}
			line += r.Lines()
		}
	}
	if line != lines+2 || parts < 5 {
		t.Errorf("%d lines in %d parts", line-2, parts)
	}
}
