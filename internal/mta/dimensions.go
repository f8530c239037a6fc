// Stations and fares are held once: a row's hundred bytes of station become a
// number by one look-up of the bytes as they stand in the record.

package mta

import (
	"bytes"
	"sync/atomic"
)

// How much a parser holds before it starts anew. There are some hundred
// stations and a dozen fares; only a stranger's rows can bring so many.
const (
	mostDimensions = 1 << 16
	mostHeld       = 32 << 20
	mostSpaces     = 64
)

// epochs makes every Epoch of a process another one, so that what was derived
// from one parser's numbers is never taken for another's.
var epochs atomic.Uint64

// A space is what is known of one header record: where its columns stand, and
// the numbers of stations and fares by their bytes in a record. The same bytes
// mean something else under other columns.
type space struct {
	columns  *Columns
	reason   string // why no record under this header can be a ride, or ""
	stations map[string]uint32
	fares    map[string]uint32
}

// A dictionary numbers stations and fares.
type dictionary struct {
	dims     Dimensions
	stations map[Station]uint32
	fares    map[Fare]uint32
	spaces   map[string]*space
	held     int // bytes of the keys of spaces and of what is in them
}

func newDictionary() dictionary {
	return dictionary{
		dims:     Dimensions{Epoch: epochs.Add(1)},
		stations: map[Station]uint32{},
		fares:    map[Fare]uint32{},
		spaces:   map[string]*space{},
	}
}

// full tells whether it is time for a new one.
func (d *dictionary) full() bool {
	return len(d.dims.Stations)+len(d.dims.Fares) > mostDimensions || d.held > mostHeld || len(d.spaces) > mostSpaces
}

func (d *dictionary) space(header string) *space {
	s, ok := d.spaces[header]
	if !ok {
		s = newSpace(header)
		d.spaces[header] = s
		d.held += len(header)
	}
	return s
}

func newSpace(header string) *space {
	columns, bad := parseColumns(header)
	if bad != nil {
		return &space{reason: bad.reason()}
	}
	return &space{columns: columns, stations: map[string]uint32{}, fares: map[string]uint32{}}
}

// addStation numbers a station under the bytes it was read from. Its number is
// that of an equal one, if another dialect has brought it.
func (d *dictionary) addStation(s *space, key []byte, station Station) uint32 {
	n, ok := d.stations[station]
	if !ok {
		n = uint32(len(d.dims.Stations))
		d.dims.Stations = append(d.dims.Stations, station)
		d.stations[station] = n
	}
	s.stations[string(key)] = n
	d.held += 2 * len(key)
	return n
}

func (d *dictionary) addFare(s *space, key []byte, fare Fare) uint32 {
	n, ok := d.fares[fare]
	if !ok {
		n = uint32(len(d.dims.Fares))
		d.dims.Fares = append(d.dims.Fares, fare)
		d.fares[fare] = n
	}
	s.fares[string(key)] = n
	d.held += 2 * len(key)
	return n
}

// What one row has, the next one has too, mostly: files are in order of time,
// and of stations within an hour. Comparing is faster than looking up.

// A memo remembers the last key that was looked up in a space, and its number.
type memo struct {
	of  *space
	key []byte // the spans, a NUL after each
	n   uint32
}

// is tells whether these fields are what is remembered.
func (m *memo) is(s *space, f fields, runs []run) bool {
	if m.of != s {
		return false
	}
	rest := m.key
	for _, run := range runs {
		span := f.span(run.first, run.last)
		if len(rest) <= len(span) || rest[len(span)] != 0 || !bytes.Equal(rest[:len(span)], span) {
			return false
		}
		rest = rest[len(span)+1:]
	}
	return len(rest) == 0
}

func (m *memo) set(s *space, f fields, runs []run, n uint32) {
	m.of, m.key, m.n = s, m.key[:0], n
	for _, run := range runs {
		m.key = append(append(m.key, f.span(run.first, run.last)...), 0)
	}
}

// A clock remembers the last time that was read from one column.
type clock struct {
	text []byte
	at   int64
}

// when is the other when, which is not asked twice in a row for the same.
func (c *clock) when(f fields, columns *Columns) (at int64, column, reason string) {
	if columns.day >= 0 {
		return when(f, columns)
	}
	text := f.bare(columns.at[columns.clock])
	if len(text) > 0 && bytes.Equal(text, c.text) {
		return c.at, "", ""
	}
	if at, column, reason = when(f, columns); reason == "" {
		c.text, c.at = append(c.text[:0], text...), at
	}
	return at, column, reason
}
