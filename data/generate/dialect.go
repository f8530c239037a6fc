package main

// A dialect writes the same rows as one of: the portal, its API, Excel, and a file
// with the date and the time in two columns.

import (
	"fmt"
	"strconv"
	"strings"
)

// A dialect is how a file is written.
type dialect struct {
	header  string // the time columns; otherColumns and geo follow
	bom     bool
	eol     string
	quote   bool           // every field
	point   bool           // counts are written as 4.0
	commas  func(day) bool // counts of that day are written as "1,031"
	noise   bool           // coordinates are rounded to 32-bit floating point
	sorted  bool
	open    bool // the last line has no line ending
	blanks  int  // records of commas only, at the end
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

// head returns the byte order mark, if any, and the header record without its
// line ending.
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

// text formats a field.
func (d *dialect) text(s string) string {
	if d.quote || strings.ContainsAny(s, `",`+"\r\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// when returns the time column or columns. In the split dialect hour starts with
// the comma between them; no dialect that quotes has two columns.
func (d *dialect) when(date, hour string) string {
	if d.quote {
		return `"` + date + hour + `"`
	}
	return date + hour
}

// middle returns the text between the time and the counts, with both commas.
func (d *dialect) middle(s station, f fare) string {
	m := ","
	for _, field := range []string{s.mode, s.id, s.name, s.borough, f.payment, f.class} {
		m += d.text(field) + ","
	}
	return m
}

// tail returns the text after the counts: the place.
func (d *dialect) tail(place string) string {
	lat, lon, _ := strings.Cut(place, " ")
	geoLat, geoLon := lat, lon
	if d.noise {
		lat, geoLat = noisy(lat)
		lon, geoLon = noisy(lon)
	}
	return "," + d.text(lat) + "," + d.text(lon) + "," + d.text("POINT ("+geoLon+" "+geoLat+")")
}

// noisy returns a number as older files have it: converted to 32-bit floating
// point, and that rounded to eight places.
func noisy(s string) (rounded, exact string) {
	f, err := strconv.ParseFloat(s, 32)
	if err != nil {
		panic(err) // a misspelt place in stations
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
