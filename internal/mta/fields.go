// Fields of a record. The framer has already found the record sound, so
// nothing can be wrong here, and a field is a span of bytes that need not be
// copied to be looked up.

package mta

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// split appends where each field of a sound record ends: at its comma, or at
// the end of the record. The next one begins a byte later.
func split(rec []byte, ends []int) []int {
	for i := 0; ; i++ {
		if i < len(rec) && rec[i] == '"' {
			i = closing(rec, i+1) + 1
			ends = append(ends, i)
		} else {
			ends = unquoted(rec, i, ends)
			i = ends[len(ends)-1]
		}
		if i >= len(rec) {
			return ends
		}
	}
}

// unquoted appends where the fields from i on end, up to the one before a
// quoted one. It looks at eight bytes at a time: fields are so short that a
// search for each takes longer to start than to find.
func unquoted(rec []byte, i int, ends []int) []int {
	const (
		commas = 0x2c2c2c2c2c2c2c2c
		low    = 0x7f7f7f7f7f7f7f7f
	)
	for ; i+8 <= len(rec); i += 8 {
		word := binary.LittleEndian.Uint64(rec[i:]) ^ commas
		// The top bit of each byte that is zero now, and of no other.
		found := ^((word&low + low) | word | low)
		for ; found != 0; found &= found - 1 {
			end := i + bits.TrailingZeros64(found)/8
			ends = append(ends, end)
			if end+1 < len(rec) && rec[end+1] == '"' {
				return ends
			}
		}
	}
	for ; i < len(rec); i++ {
		if rec[i] != ',' {
			continue
		}
		ends = append(ends, i)
		if i+1 < len(rec) && rec[i+1] == '"' {
			return ends
		}
	}
	return append(ends, len(rec))
}

// fields is a record that was split.
type fields struct {
	rec  []byte
	ends []int
}

// span is the bytes of neighbouring fields as they stand in the record.
func (f fields) span(first, last int) []byte {
	start := 0
	if first > 0 {
		start = f.ends[first-1] + 1
	}
	return f.rec[start:f.ends[last]]
}

// bare is a field without the quotes around it. Quotes and line endings inside
// are as they stand, which will do for what can't have any.
func (f fields) bare(i int) []byte {
	b := f.span(i, i)
	if len(b) >= 2 && b[0] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// text is what a field says, the same as encoding/csv reads: a line ending
// inside quotes is \n, whatever it was.
func (f fields) text(i int) string {
	raw, b := f.span(i, i), f.bare(i)
	if len(b) < len(raw) {
		b = bytes.ReplaceAll(b, []byte(`""`), []byte(`"`))
		b = bytes.ReplaceAll(b, []byte("\r\n"), newline)
	}
	return string(b)
}

// Numbers: counts of people, and degrees.

const (
	notCount     = "want a whole number of 0 or more"
	hugeCount    = "more than can be counted"
	notDegrees   = "want a number of degrees"
	notLatitude  = "want degrees from -90 to 90"
	notLongitude = "want degrees from -180 to 180"
)

// parseCount reads digits, in groups of three with commas if at all, and an
// optional .0, which the API adds. The problem is "" if there is none.
func parseCount(b []byte) (count int64, problem string) {
	if n := len(b); n > 2 && b[n-1] == '0' && b[n-2] == '.' {
		b = b[:n-2]
	}
	if len(b) == 0 {
		return 0, notCount
	}
	group := -1 // digits since the last comma; -1: no comma so far
	for i, c := range b {
		switch {
		case c == ',' && i >= 1 && i <= 3 && group == -1, c == ',' && group == 3:
			group = 0
			continue
		case c-'0' > 9 || group == 3:
			return 0, notCount
		}
		if group >= 0 {
			group++
		}
		digit := int64(c - '0')
		if count > (math.MaxInt64-digit)/10 {
			return 0, hugeCount
		}
		count = count*10 + digit
	}
	if group != -1 && group != 3 {
		return 0, notCount
	}
	return count, ""
}

// parseDegrees reads a coordinate; nothing is no coordinate.
func parseDegrees(s string, most float64, outside string) (Number, string) {
	if s == "" {
		return Number{}, ""
	}
	for _, c := range []byte(s) { // ParseFloat knows inf, nan, 0x1p-2 and 1_0, too
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return Number{}, notDegrees
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Number{}, notDegrees
	}
	if math.Abs(f) > most {
		return Number{}, outside
	}
	return Number{F: f, Valid: true}, ""
}
