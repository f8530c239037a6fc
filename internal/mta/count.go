// Numbers: counts of people, and degrees.

package mta

import (
	"math"
	"strconv"
)

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
