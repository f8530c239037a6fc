// What a chunk comes to: rides and rejects. The chunk may come from anyone, so
// it is framed again here, by the framer that cut it.

package mta

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"
)

// shortestRide is as few bytes as a ride can take: a time, an id and a count.
const shortestRide = len("1/1/22 0:00,1,1\n")

// A Parser turns chunks into parts. It is for one goroutine; the Dimensions it
// returned may be read by others while it goes on.
type Parser struct {
	dictionary
	last  memo // the station of the row before
	clock clock
	ends  []int  // scratch
	key   []byte // scratch
}

// NewParser returns a parser with empty dimensions.
func NewParser() *Parser { return &Parser{dictionary: newDictionary()} }

// Begin is called before each batch. Where the dimensions have grown too large
// it starts new ones, with a new Epoch.
func (p *Parser) Begin() {
	if p.full() {
		p.dictionary = newDictionary()
	}
}

// Dimensions returns what the rides parsed so far refer to.
func (p *Parser) Dimensions() Dimensions { return p.dims }

// Parse judges every record of a chunk: a ride, a reject, or blank. The part's
// Raw and Record bytes are those of the chunk's Data, not copies.
func (p *Parser) Parse(c Chunk) Part {
	part := Part{Source: c.Source, Columns: c.Columns}
	if c.Length != 0 {
		part.Rejects = []Reject{{Line: int64(c.Line), Reason: tooLong(c.Length), Record: c.Data}}
		return part
	}
	s := p.space(c.Columns)
	if s.reason == "" {
		part.Rides = make([]Ride, 0, min(bytes.Count(c.Data, newline)+1, len(c.Data)/shortestRide+1))
	}
	clean := isText(c.Data)
	line := int64(c.Line)
	var f framer
	for f.set(c.Data, 0, true); ; {
		r, ok := f.next()
		if !ok {
			return part
		}
		if r.fault == long {
			r.size, r.lines = lineEnd(c.Data[f.pos:])
		}
		raw := c.Data[f.pos : f.pos+r.size : f.pos+r.size]
		p.judge(&part, s, raw, line, r, clean)
		f.skip(r)
		line += int64(r.lines)
	}
}

// judge adds a record to its part.
func (p *Parser) judge(part *Part, s *space, raw []byte, line int64, r record, clean bool) {
	if r.blank {
		part.Blank++
		return
	}
	column, reason := "", unfit(s, raw, line, r)
	if reason == "" {
		part.Rides = append(part.Rides, Ride{Line: uint32(line), Raw: raw})
		last := len(part.Rides) - 1
		if column, reason = p.read(&part.Rides[last], s, content(raw), clean); reason == "" {
			return
		}
		part.Rides = part.Rides[:last]
	}
	part.Rejects = append(part.Rejects, Reject{Line: line, Column: column, Reason: reason, Record: raw})
}

// unfit says why a record can't be a ride, whatever its fields are, or "".
func unfit(s *space, raw []byte, line int64, r record) string {
	switch {
	case r.fault == long:
		return tooLong(int64(len(content(raw))))
	case r.fault != sound:
		return r.fault.reason()
	case line > math.MaxUint32:
		return fmt.Sprintf("line %d is beyond the last that can be stored", line)
	}
	return s.reason
}

func tooLong(length int64) string {
	return fmt.Sprintf("the line has %d bytes, more than %d", length, MaxRecord)
}

// lineEnd is the whole line at the start of data, however long.
func lineEnd(data []byte) (size, lines int) {
	if nl := bytes.IndexByte(data, '\n'); nl >= 0 {
		return nl + 1, 1
	}
	return len(data), 0
}

// isText tells whether data can be stored as text. Where a whole chunk is, its
// records need not be looked at one by one.
func isText(data []byte) bool {
	return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// What a record says, column by column, and what is wrong with it in a
// sentence for the person who will mend it.

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
