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
