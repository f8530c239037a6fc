// Dimensions hold each station and each fare once. A row refers to them by
// number, and the number is found by the raw bytes of the row's fields, so that
// a hundred bytes of station cost one look-up and no parsing.

package mta

import (
	"bytes"
	"sync/atomic"
)

// Limits of what a parser caches before it starts with an empty cache. The real
// data has some hundred stations and a dozen fares; only hostile input has more.
const (
	maxDimensions = 1 << 16
	maxHeldBytes  = 32 << 20
	maxLayouts    = 64
)

// epochs numbers the caches of a process, so that whatever was derived from one
// parser's numbers is never applied to another's.
var epochs atomic.Uint64

// A layout caches what is known of one header record: its columns, and the
// numbers of the stations and fares seen under it. The cache is per header
// because the same bytes mean something else under other columns.
type layout struct {
	columns  *Columns
	reason   string // why no record under this header can be a ride, or ""
	stations map[string]uint32
	fares    map[string]uint32
}

func newLayout(header string) *layout {
	columns, err := parseColumns(header)
	if err != nil {
		return &layout{reason: err.reason()}
	}
	return &layout{columns: columns, stations: map[string]uint32{}, fares: map[string]uint32{}}
}

// A dictionary numbers stations and fares.
type dictionary struct {
	dims     Dimensions
	stations map[Station]uint32
	fares    map[Fare]uint32
	layouts  map[string]*layout // by header record
	held     int                // bytes of the keys of layouts and of their caches
}

func newDictionary() dictionary {
	return dictionary{
		dims:     Dimensions{Epoch: epochs.Add(1)},
		stations: map[Station]uint32{},
		fares:    map[Fare]uint32{},
		layouts:  map[string]*layout{},
	}
}

// full tells whether the dictionary has reached a limit and must be replaced.
func (d *dictionary) full() bool {
	return len(d.dims.Stations)+len(d.dims.Fares) > maxDimensions || d.held > maxHeldBytes || len(d.layouts) > maxLayouts
}

func (d *dictionary) layout(header string) *layout {
	l, ok := d.layouts[header]
	if !ok {
		l = newLayout(header)
		d.layouts[header] = l
		d.held += len(header)
	}
	return l
}

// addStation numbers a station and caches the number under its raw bytes.
// Equal stations share a number, whatever dialect they were written in.
func (d *dictionary) addStation(l *layout, key []byte, station Station) uint32 {
	d.held += 2 * len(key)
	return number(&d.dims.Stations, d.stations, l.stations, key, station)
}

// addFare numbers a fare in the same way.
func (d *dictionary) addFare(l *layout, key []byte, fare Fare) uint32 {
	d.held += 2 * len(key)
	return number(&d.dims.Fares, d.fares, l.fares, key, fare)
}

// number returns the index of value in list, appending it if it is new, and
// caches the index under key.
func number[T comparable](list *[]T, numbers map[T]uint32, cache map[string]uint32, key []byte, value T) uint32 {
	n, ok := numbers[value]
	if !ok {
		n = uint32(len(*list))
		*list = append(*list, value)
		numbers[value] = n
	}
	cache[string(key)] = n
	return n
}

// A lastKey remembers the key of the previous row and its number. Files are in
// order of time and, within an hour, of stations: most rows repeat the station
// of the row before, and comparing bytes is faster than a map look-up.
type lastKey struct {
	layout *layout
	key    []byte // the spans, a NUL after each
	n      uint32
}

// matches tells whether these fields are the remembered ones.
func (k *lastKey) matches(l *layout, f fields, runs []run) bool {
	if k.layout != l {
		return false
	}
	rest := k.key
	for _, run := range runs {
		span := f.span(run.first, run.last)
		if len(rest) <= len(span) || rest[len(span)] != 0 || !bytes.Equal(rest[:len(span)], span) {
			return false
		}
		rest = rest[len(span)+1:]
	}
	return len(rest) == 0
}

func (k *lastKey) set(l *layout, f fields, runs []run, n uint32) {
	k.layout, k.key, k.n = l, k.key[:0], n
	for _, run := range runs {
		k.key = append(append(k.key, f.span(run.first, run.last)...), 0)
	}
}
