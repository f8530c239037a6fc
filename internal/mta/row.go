// What a record says, column by column, and what is wrong with it in a
// sentence for the person who will mend it.

package mta

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// read fills in a ride from a sound record without its line ending. The reason
// is "" if it is one. clean spares looking for bytes that are not text.
func (p *Parser) read(r *Ride, s *space, rec []byte, clean bool) (column, reason string) {
	p.ends = split(rec, p.ends[:0])
	f, c := fields{rec, p.ends}, s.columns
	if !clean && !isText(rec) {
		return notText(f, c)
	}
	if len(f.ends) != c.count {
		return "", fmt.Sprintf("it has %d fields, want %d as in the header", len(f.ends), c.count)
	}
	var problem string
	if r.At, column, problem = p.clock.when(f, c); problem != "" {
		return column, problem
	}
	if r.Ridership, problem = parseCount(f.bare(c.at[colRidership])); problem != "" {
		return wrong(f, c, colRidership, problem)
	}
	if r.HasTransfers = c.has(colTransfers); r.HasTransfers {
		if r.Transfers, problem = parseCount(f.bare(c.at[colTransfers])); problem != "" {
			return wrong(f, c, colTransfers, problem)
		}
	}
	if column, reason = p.place(r, s, f); reason != "" {
		return column, reason
	}
	key := p.keyOf(f, c.fare)
	var ok bool
	if r.Fare, ok = s.fares[string(key)]; !ok {
		r.Fare = p.addFare(s, key, Fare{readText(f, c, colPayment), readText(f, c, colFareClass)})
	}
	return "", ""
}

// place finds the station of a ride.
func (p *Parser) place(r *Ride, s *space, f fields) (column, reason string) {
	c := s.columns
	if p.last.is(s, f, c.station) {
		r.Station = p.last.n
		return "", ""
	}
	key := p.keyOf(f, c.station)
	var ok bool
	if r.Station, ok = s.stations[string(key)]; !ok {
		station, column, reason := readStation(f, c)
		if reason != "" {
			return column, reason
		}
		r.Station = p.addStation(s, key, station)
	}
	p.last.set(s, f, c.station, r.Station)
	return "", ""
}

// keyOf is the bytes of some fields as they stand, valid until the next call.
// A NUL, which no record that gets here has, keeps runs apart.
func (p *Parser) keyOf(f fields, runs []run) []byte {
	if len(runs) == 1 {
		return f.span(runs[0].first, runs[0].last)
	}
	p.key = p.key[:0]
	for _, run := range runs {
		p.key = append(p.key, f.span(run.first, run.last)...)
		p.key = append(p.key, 0)
	}
	return p.key
}

// when reads the time of a ride.
func when(f fields, c *Columns) (at int64, column, reason string) {
	clock := f.bare(c.at[c.clock])
	if c.day < 0 {
		at, problem := parseStamp(clock)
		if problem != "" {
			column, reason = wrong(f, c, c.clock, problem)
		}
		return at, column, reason
	}
	day, problem := parseDay(f.bare(c.at[c.day]))
	if problem != "" {
		column, reason = wrong(f, c, c.day, problem)
		return 0, column, reason
	}
	if at, problem = parseTimeOn(day, clock); problem != "" {
		column, reason = wrong(f, c, c.clock, problem)
	}
	return at, column, reason
}

// readStation reads all that a record says of its station.
func readStation(f fields, c *Columns) (s Station, column, reason string) {
	if len(f.bare(c.at[colComplexID])) == 0 {
		column, reason = wrong(f, c, colComplexID, "want the id of a station complex")
		return s, column, reason
	}
	s = Station{
		ComplexID:    readText(f, c, colComplexID),
		Complex:      readText(f, c, colComplex),
		Borough:      readText(f, c, colBorough),
		Mode:         readText(f, c, colMode),
		Georeference: readText(f, c, colGeoreference),
	}
	var problem string
	if s.Latitude, problem = parseDegrees(readText(f, c, colLatitude).S, 90, notLatitude); problem != "" {
		column, reason = wrong(f, c, colLatitude, problem)
		return s, column, reason
	}
	if s.Longitude, problem = parseDegrees(readText(f, c, colLongitude).S, 180, notLongitude); problem != "" {
		column, reason = wrong(f, c, colLongitude, problem)
	}
	return s, column, reason
}

// readText is a column's text, or nothing where the file has no such column.
func readText(f fields, c *Columns, col int) Text {
	if !c.has(col) {
		return Text{}
	}
	return Text{S: f.text(c.at[col]), Valid: true}
}

// wrong says what is wrong with a column's value.
func wrong(f fields, c *Columns, col int, problem string) (column, reason string) {
	name, value := columnNames[col], f.text(c.at[col])
	if value == "" {
		return name, fmt.Sprintf("%s is empty, %s", name, problem)
	}
	return name, fmt.Sprintf("%s is %q, %s", name, shorten(value), problem)
}

// notText says where a record has bytes that no text has.
func notText(f fields, c *Columns) (column, reason string) {
	problem := "has a NUL byte"
	if bytes.IndexByte(f.rec, 0) < 0 {
		problem = "is not UTF-8"
	}
	if len(f.ends) != c.count {
		return "", "it " + problem
	}
	for col, i := range c.at {
		if i < 0 {
			continue
		}
		b := f.span(i, i)
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return columnNames[col], fmt.Sprintf("%s is %q, which %s", columnNames[col], shorten(string(b)), problem)
		}
	}
	return "", "it " + problem
}
