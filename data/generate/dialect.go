package main

// The dialects: the same rows as the portal, the API, Excel and the original
// demo's file write them.

import (
	"fmt"
	"strconv"
	"strings"
)

// A dialect is how a file is written.
type dialect struct {
	header  string // the time columns; the others are the same in all but one letter
	bom     bool
	eol     string
	quote   bool // every field
	point   bool // 4.0 for 4
	commas  func(day) bool
	noise   bool // coordinates went through 32 bits of floating point
	sorted  bool
	open    bool // the last line has no end
	blanks  int  // records of nothing but commas at the end
	date    func(day) string
	hour    func(int) string // follows the date
	geo     string           // the name of the last column
	columns int
}

func never(day) bool  { return false }
func always(day) bool { return true }

var dialects = map[string]*dialect{
	"portal": {
		header: "transit_timestamp", eol: "\n", sorted: true, geo: "Georeference", columns: 12,
		commas: func(d day) bool { return d.year >= 2025 },
		date:   func(d day) string { return fmt.Sprintf("%02d/%02d/%d", d.month, d.day, d.year) },
		hour:   func(h int) string { return fmt.Sprintf(" %02d:00:00 %cM", (h+11)%12+1, "AP"[h/12]) },
	},
	"api": {
		header: "transit_timestamp", eol: "\n", sorted: true, geo: "georeference", columns: 12,
		quote: true, point: true, commas: never,
		date: func(d day) string { return fmt.Sprintf("%d-%02d-%02d", d.year, d.month, d.day) },
		hour: func(h int) string { return fmt.Sprintf("T%02d:00:00.000", h) },
	},
	"excel": {
		header: "transit_timestamp", bom: true, eol: "\r\n", geo: "Georeference", columns: 12,
		commas: always, noise: true, blanks: 8,
		date: func(d day) string { return fmt.Sprintf("%02d/%02d/%02d", d.month, d.day, d.year%100) },
		hour: func(h int) string { return fmt.Sprintf(" %d:00:00", h) },
	},
	"split": {
		header: "transit_date,transit_time", bom: true, eol: "\n", geo: "Georeference", columns: 13,
		commas: never, noise: true, open: true,
		date: func(d day) string { return fmt.Sprintf("%d/%d/%d", d.month, d.day, d.year) },
		hour: func(h int) string { return fmt.Sprintf(",%d:00", h) },
	},
}

// otherColumns follow the time; the name of the last follows them.
const otherColumns = "transit_mode,station_complex_id,station_complex,borough," +
	"payment_method,fare_class_category,ridership,transfers,latitude,longitude"

// head is the header record without its end, after the byte order mark.
func (d *dialect) head() string {
	fields := strings.Split(d.header+","+otherColumns+","+d.geo, ",")
	for i, f := range fields {
		fields[i] = d.text(f)
	}
	head := strings.Join(fields, ",")
	if d.bom {
		return "\ufeff" + head
	}
	return head
}

// text is a field.
func (d *dialect) text(s string) string {
	if d.quote || strings.ContainsAny(s, `",`+"\r\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// when is the time column, or both of them: of the split file the hour's part
// starts with the comma. No dialect that quotes has two.
func (d *dialect) when(date, hour string) string {
	if d.quote {
		return `"` + date + hour + `"`
	}
	return date + hour
}

// middle is all between the time and the counts, ends included.
func (d *dialect) middle(s station, f fare) string {
	m := ","
	for _, field := range []string{s.mode, s.id, s.name, s.borough, f.payment, f.class} {
		m += d.text(field) + ","
	}
	return m
}

// tail is all after the counts: the place.
func (d *dialect) tail(place string) string {
	lat, lon, _ := strings.Cut(place, " ")
	geoLat, geoLon := lat, lon
	if d.noise {
		lat, geoLat = noisy(lat)
		lon, geoLon = noisy(lon)
	}
	return "," + d.text(lat) + "," + d.text(lon) + "," + d.text("POINT ("+geoLon+" "+geoLat+")")
}

// noisy is a number as older files have it: what 32 bits of floating point
// made of it, and that rounded to eight places.
func noisy(s string) (rounded, exact string) {
	f, err := strconv.ParseFloat(s, 32)
	if err != nil {
		panic(err) // a misspelt place in our own table
	}
	rounded = strings.TrimRight(strconv.FormatFloat(f, 'f', 8, 64), "0")
	return rounded, strconv.FormatFloat(f, 'f', -1, 64)
}

// count appends a number of people.
func (d *dialect) count(b []byte, n uint64, commas bool) []byte {
	switch {
	case d.point:
		b = append(b, '"')
		b = strconv.AppendUint(b, n, 10)
		return append(b, `.0"`...)
	case commas && n >= 1000:
		b = append(b, '"')
		b = thousands(b, n)
		return append(b, '"')
	}
	return strconv.AppendUint(b, n, 10)
}

func thousands(b []byte, n uint64) []byte {
	if n < 1000 {
		return strconv.AppendUint(b, n, 10)
	}
	b = thousands(b, n/1000)
	return append(b, ',', byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
}
