// The parser turns a chunk into rides and rejects. A chunk may come from any
// publisher, so it is framed again here, by the framer that cut it.

package mta

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// shortestRide is the fewest bytes a ride can take: a time, an id and a count.
const shortestRide = len("1/1/22 0:00,1,1\n")

// A Parser turns chunks into parts. It is for one goroutine. The Dimensions it
// returned may be read by other goroutines while it goes on.
type Parser struct {
	dictionary
	lastStation lastKey
	lastTime    lastTime
	ends        []int  // scratch
	key         []byte // scratch
}

// NewParser returns a parser with empty dimensions.
func NewParser() *Parser { return &Parser{dictionary: newDictionary()} }

// Begin is called before each batch. If the dimensions have grown too large, it
// starts empty ones with a new Epoch.
func (p *Parser) Begin() {
	if p.full() {
		p.dictionary = newDictionary()
	}
}

// Dimensions returns what the rides parsed so far refer to.
func (p *Parser) Dimensions() Dimensions { return p.dims }

// Parse classifies every record of a chunk as a ride, a reject, or blank. The
// part's Raw and Record bytes alias the chunk's Data.
func (p *Parser) Parse(c Chunk) Part {
	part, _ := p.ParseUpTo(c, math.MaxInt)
	return part
}

// ParseUpTo parses records until the part takes maxSize bytes beside the chunk's
// Data, and at least one. It returns the rest of the chunk; its Data is empty at
// the end.
func (p *Parser) ParseUpTo(c Chunk, maxSize int) (part Part, rest Chunk) {
	part, rest = Part{Source: c.Source, Columns: c.Columns}, c
	if c.Length != 0 {
		part.Rejects = []Reject{{Line: c.Line, Reason: tooLong(c.Length), Record: c.Data}}
		rest.Data = nil
		return part, rest
	}
	l := p.layout(c.Columns)
	if l.reason == "" {
		rides := min(bytes.Count(c.Data, newline)+1, len(c.Data)/shortestRide+1, maxSize/rideSize+1)
		part.Rides = make([]Ride, 0, rides)
	}
	allText := isText(c.Data)
	line, size := c.Line, 0
	var f framer
	for f.reset(c.Data, 0, true); size < maxSize; {
		r, ok := f.next()
		if !ok {
			rest.Data = nil
			return part, rest
		}
		if r.fault == longLine {
			r.size, r.lines = wholeLine(c.Data[f.pos:])
		}
		raw := c.Data[f.pos : f.pos+r.size : f.pos+r.size]
		size += p.parseRecord(&part, l, raw, line, r, allText)
		f.skip(r)
		line += int64(r.lines)
	}
	rest.Data, rest.Line = c.Data[f.pos:], line
	return part, rest
}

// What a ride and a reject take in memory, beside the chunk and the reason. The
// slice of the rejects grows as they come, and then is there twice.
const (
	rideSize   = int(unsafe.Sizeof(Ride{}))
	rejectSize = 3 * int(unsafe.Sizeof(Reject{}))
)

// Size returns the bytes that the part takes beside the chunk's Data.
func (p *Part) Size() int {
	n := len(p.Rides)*rideSize + len(p.Rejects)*rejectSize
	for i := range p.Rejects {
		n += len(p.Rejects[i].Reason)
	}
	return n
}

// parseRecord adds a record to its part and returns how many bytes the part
// grew by.
func (p *Parser) parseRecord(part *Part, l *layout, raw []byte, line int64, r record, allText bool) int {
	if r.blank {
		part.Blank++
		return 0
	}
	column, reason := "", recordReason(l, raw, line, r)
	if reason == "" {
		part.Rides = append(part.Rides, Ride{Line: uint32(line), Raw: raw})
		last := len(part.Rides) - 1
		if column, reason = p.readRide(&part.Rides[last], l, withoutEOL(raw), allText); reason == "" {
			return rideSize
		}
		part.Rides = part.Rides[:last]
	}
	reject := Reject{Line: line, Column: column, Reason: reason, Record: raw}
	if r.lines == 1 {
		reject.Last = line
	}
	if n := len(part.Rejects); n > 0 && part.Rejects[n-1].join(reject) {
		return 0
	}
	part.Rejects = append(part.Rejects, reject)
	return rejectSize + len(reason)
}

// join extends r by the next line if that makes a run. Rejects in bulk, such as
// those of a file that is not CSV, would otherwise take a hundred times their
// bytes.
func (r *Reject) join(next Reject) bool {
	if next.Last == 0 || r.Last == 0 || next.Line != r.Last+1 ||
		r.Column != next.Column || r.Reason != next.Reason || !bytes.Equal(r.Record, next.Record) {
		return false
	}
	r.Last = next.Last
	return true
}

// recordReason says why a record can't be a ride, whatever its fields are, or
// returns "".
func recordReason(l *layout, raw []byte, line int64, r record) string {
	switch {
	case r.fault == longLine:
		return tooLong(int64(len(withoutEOL(raw))))
	case r.fault != wellFormed:
		return r.fault.reason()
	case line > math.MaxUint32:
		return fmt.Sprintf("line %d is beyond the last that can be stored", line)
	}
	return l.reason
}

func tooLong(length int64) string {
	return fmt.Sprintf("the line has %d bytes, more than %d", length, MaxRecord)
}

// wholeLine measures the line at the start of data, however long it is.
func wholeLine(data []byte) (size, lines int) {
	if nl := bytes.IndexByte(data, '\n'); nl >= 0 {
		return nl + 1, 1
	}
	return len(data), 0
}

// isText tells whether data can be stored as text. If a whole chunk is text,
// its records need not be checked one by one.
func isText(data []byte) bool {
	return utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// readRide fills in a ride from a well-formed record without its line ending.
// The reason is "" if it is a ride. Otherwise it is one sentence for the person
// who corrects the row. allText says that the record is known to be text.
func (p *Parser) readRide(r *Ride, l *layout, rec []byte, allText bool) (column, reason string) {
	p.ends = split(rec, p.ends[:0])
	f, c := fields{rec, p.ends}, l.columns
	if !allText && !isText(rec) {
		return encodingReason(f, c)
	}
	if len(f.ends) != c.count {
		noun := "fields"
		if len(f.ends) == 1 {
			noun = "field"
		}
		return "", fmt.Sprintf("it has %d %s, want %d as in the header", len(f.ends), noun, c.count)
	}
	var problem string
	if r.At, column, problem = p.lastTime.read(f, c); problem != "" {
		return column, problem
	}
	if r.Ridership, problem = parseCount(f.unquoted(c.at[colRidership])); problem != "" {
		return valueReason(f, c, colRidership, problem)
	}
	if r.HasTransfers = c.has(colTransfers); r.HasTransfers {
		if r.Transfers, problem = parseCount(f.unquoted(c.at[colTransfers])); problem != "" {
			return valueReason(f, c, colTransfers, problem)
		}
	}
	if column, reason = p.findStation(r, l, f); reason != "" {
		return column, reason
	}
	key := p.dimensionKey(f, c.fare)
	var ok bool
	if r.Fare, ok = l.fares[string(key)]; !ok {
		r.Fare = p.addFare(l, key, Fare{readText(f, c, colPayment), readText(f, c, colFareClass)})
	}
	return "", ""
}

// findStation sets the station of a ride.
func (p *Parser) findStation(r *Ride, l *layout, f fields) (column, reason string) {
	c := l.columns
	if p.lastStation.matches(l, f, c.station) {
		r.Station = p.lastStation.n
		return "", ""
	}
	key := p.dimensionKey(f, c.station)
	var ok bool
	if r.Station, ok = l.stations[string(key)]; !ok {
		station, column, reason := readStation(f, c)
		if reason != "" {
			return column, reason
		}
		r.Station = p.addStation(l, key, station)
	}
	p.lastStation.set(l, f, c.station, r.Station)
	return "", ""
}

// dimensionKey returns the raw bytes of some fields, valid until the next call.
// A NUL separates runs; no record that gets here contains one.
func (p *Parser) dimensionKey(f fields, runs []run) []byte {
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

// readStation reads the columns of a record's station.
func readStation(f fields, c *Columns) (s Station, column, reason string) {
	if len(f.unquoted(c.at[colComplexID])) == 0 {
		column, reason = valueReason(f, c, colComplexID, "want the id of a station complex")
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
		column, reason = valueReason(f, c, colLatitude, problem)
		return s, column, reason
	}
	if s.Longitude, problem = parseDegrees(readText(f, c, colLongitude).S, 180, notLongitude); problem != "" {
		column, reason = valueReason(f, c, colLongitude, problem)
	}
	return s, column, reason
}

// readText returns a column's text. It is not Valid if the file has no such
// column.
func readText(f fields, c *Columns, col int) Text {
	if !c.has(col) {
		return Text{}
	}
	return Text{S: f.text(c.at[col]), Valid: true}
}

// valueReason says what is wrong with a column's value.
func valueReason(f fields, c *Columns, col int, problem string) (column, reason string) {
	name, value := columnNames[col], f.text(c.at[col])
	if value == "" {
		return name, fmt.Sprintf("%s is empty, %s", name, problem)
	}
	return name, fmt.Sprintf("%s is %q, %s", name, shorten(value), problem)
}

// encodingReason says which column has bytes that can't be stored as text.
func encodingReason(f fields, c *Columns) (column, reason string) {
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
		if b := f.span(i, i); !isText(b) {
			return columnNames[col], fmt.Sprintf("%s is %q, which %s", columnNames[col], shorten(f.text(i)), problem)
		}
	}
	return "", "it " + problem
}

// A RowsError says that the first rows of a file are all rejects.
type RowsError struct {
	Path    string
	Rows    int
	Reasons []CommonReason // the most frequent first
}

// A CommonReason counts the rejects with the same column at fault, or with the
// same reason where no column is.
type CommonReason struct {
	Count   int
	Line    int64  // of the first
	Example string // its reason
}

func (e *RowsError) Error() string {
	text := fmt.Sprintf("%s: the first %d rows are all rejects:", e.Path, e.Rows)
	for i, r := range e.Reasons[:min(3, len(e.Reasons))] {
		if i > 0 {
			text += ";"
		}
		text += fmt.Sprintf(" %d like line %d (%s)", r.Count, r.Line, r.Example)
	}
	return text
}

// CheckRows parses the first rows of a file. It returns a *RowsError if they are
// all rejects, and nil if the file has fewer.
func (f *File) CheckRows(rows int) error {
	parser := NewParser()
	counts := map[string]*CommonReason{}
	for n := 0; n < rows; {
		c, err := f.Next(64<<10, rows-n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		part := parser.Parse(c)
		if len(part.Rides) > 0 {
			return nil
		}
		for _, r := range part.Rejects {
			key := cmp.Or(r.Column, r.Reason)
			if counts[key] == nil {
				counts[key] = &CommonReason{Line: r.Line, Example: r.Reason}
			}
			counts[key].Count += int(r.Lines())
		}
		n += c.Records
	}
	e := &RowsError{Path: f.path, Rows: rows}
	for _, r := range counts {
		e.Reasons = append(e.Reasons, *r)
	}
	slices.SortFunc(e.Reasons, func(a, b CommonReason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Line, b.Line))
	})
	return e
}
