// Fields of a record, and the numbers in them. The framer has already checked
// the record, so splitting cannot fail. A field is a span of the record's bytes
// and is only copied when it is stored.

package mta

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// split appends where each field of a well-formed record ends: at its comma, or
// at the end of the record. The next field begins one byte later.
func split(rec []byte, ends []int) []int {
	for i := 0; ; i++ {
		if i < len(rec) && rec[i] == '"' {
			i = closingQuote(rec, i+1) + 1
			ends = append(ends, i)
		} else {
			ends = splitUnquoted(rec, i, ends)
			i = ends[len(ends)-1]
		}
		if i >= len(rec) {
			return ends
		}
	}
}

// splitUnquoted appends where the fields from i on end, up to the last one
// before a quoted field. It examines eight bytes at a time, because fields are
// short: calling bytes.IndexByte for each costs more than the search.
func splitUnquoted(rec []byte, i int, ends []int) []int {
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

// fields is a split record.
type fields struct {
	rec  []byte
	ends []int
}

// span returns the raw bytes of adjacent fields.
func (f fields) span(first, last int) []byte {
	start := 0
	if first > 0 {
		start = f.ends[first-1] + 1
	}
	return f.rec[start:f.ends[last]]
}

// unquoted returns a field without its surrounding quotes. Escapes inside are
// left as they are, which is enough for numbers and times: they have none.
func (f fields) unquoted(i int) []byte {
	b := f.span(i, i)
	if len(b) >= 2 && b[0] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// text returns a field's value as encoding/csv reads it: \r\n inside quotes
// becomes \n.
func (f fields) text(i int) string {
	raw, b := f.span(i, i), f.unquoted(i)
	if len(b) < len(raw) {
		b = bytes.ReplaceAll(b, []byte(`""`), []byte(`"`))
		b = bytes.ReplaceAll(b, []byte("\r\n"), newline)
	}
	return string(b)
}

// What can be wrong with a number, as the end of a sentence that has the value.
const (
	notCount     = "want a whole number of 0 or more"
	hugeCount    = "more than can be counted"
	notDegrees   = "want a number of degrees"
	notLatitude  = "want degrees from -90 to 90"
	notLongitude = "want degrees from -180 to 180"
)

// parseCount reads digits, with or without commas between groups of three, and
// an optional .0, which the portal's API adds. The problem is "" if it is a
// count.
func parseCount(b []byte) (count int64, problem string) {
	if n := len(b); n > 2 && b[n-1] == '0' && b[n-2] == '.' {
		b = b[:n-2]
	}
	if len(b) == 0 {
		return 0, notCount
	}
	group := -1 // digits since the last comma; -1: no comma yet
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

// parseDegrees reads a coordinate of at most limit degrees either way. An empty
// one is not Valid.
func parseDegrees(s string, limit float64, outside string) (Number, string) {
	if s == "" {
		return Number{}, ""
	}
	for _, c := range []byte(s) { // ParseFloat accepts inf, nan, 0x1p-2 and 1_0 as well
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return Number{}, notDegrees
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Number{}, notDegrees
	}
	if math.Abs(f) > limit {
		return Number{}, outside
	}
	return Number{F: f, Valid: true}, ""
}
