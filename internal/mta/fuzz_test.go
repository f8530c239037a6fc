// The parser against encoding/csv, the time package and regular expressions.

package mta

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var degreesShape = regexp.MustCompile(`^[-+.0-9eE]+$`)

// slowRide classifies a row under portalHeader by other means, as a reference. Its
// result has the form of describe.
func slowRide(fields []string) (string, bool) {
	if len(fields) != 12 || fields[2] == "" {
		return "", false
	}
	at, ok := slowStamp(fields[0])
	ridership, ok1 := slowCount(fields[7])
	transfers, ok2 := slowCount(fields[8])
	if !ok || !ok1 || !ok2 {
		return "", false
	}
	fields = slices.Clone(fields)
	fields[0], fields[7], fields[8] = formatTime(at), strconv.FormatInt(ridership, 10), strconv.FormatInt(transfers, 10)
	null := map[int]bool{}
	for i, most := range map[int]float64{9: 90, 10: 180} {
		if null[i] = fields[i] == ""; null[i] {
			continue
		}
		f, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || math.Abs(f) > most || !degreesShape.MatchString(fields[i]) {
			return "", false
		}
		fields[i] = strconv.FormatFloat(f, 'f', -1, 64)
	}
	var b strings.Builder
	for i, value := range fields {
		fmt.Fprintf(&b, "%q %t|", value, !null[i])
	}
	return b.String(), true
}

// FuzzParse holds rides and rejects against encoding/csv and slowRide.
func FuzzParse(f *testing.F) {
	for _, seed := range append(slices.Clone(csvSeeds), portalRow, apiRow, portalRow+"\r\n\n,,\n"+apiRow+"\n"+portalRow,
		strings.ReplaceAll(portalRow, "Pelham Pkwy (5)", "\"14 St, \"\"Union\"\"\r\nSq\""), strings.Replace(portalRow, ",6,", ",\"1,031\",", 1),
		strings.Replace(portalRow, "40.8589859", "", 1), strings.Replace(portalRow, "40.8589859", "-0", 1), strings.Replace(portalRow, "Bronx", "\xff", 1)) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		framed, ok := frameByStdlib(data)
		if !ok {
			return
		}
		got, _ := judgements(NewParser(), Chunk{Columns: portalHeader, Line: 1, Data: data})
		r := csv.NewReader(bytes.NewReader(data))
		r.FieldsPerRecord = -1
		for _, want := range framed {
			fields, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if want.blank {
				continue
			}
			if len(got) == 0 || got[0].line != int64(want.line) || got[0].raw != want.raw {
				t.Fatalf("line %d, %q: got %v", want.line, want.raw, got)
			}
			says, ok := slowRide(fields)
			if ok = ok && isText([]byte(want.raw)); ok != (got[0].says == "ride "+says) || !ok && !strings.HasPrefix(got[0].says, "reject ") {
				t.Errorf("%q: got %s, want %t %s", want.raw, got[0].says, ok, says)
			}
			got = got[1:]
		}
		if len(got) != 0 {
			t.Errorf("%d records too many: %v", len(got), got)
		}
	})
}

// FuzzForeign parses chunks of other publishers: nothing crashes, and every
// byte that is not blank ends up in a ride or a reject.
func FuzzForeign(f *testing.F) {
	for i, seed := range append(slices.Clone(csvSeeds), rowSeeds...) {
		for _, header := range []string{"", shortHeader, portalHeader, seed, "\"", "transit_time,transit_date,ridership,ridership,station_complex_id"} {
			f.Add(header, uint32(i), []byte(seed), int64(0))
		}
		f.Add(shortHeader, uint32(math.MaxUint32), []byte(seed), int64(i))
	}
	f.Add(shortHeader, uint32(9), []byte("\"\",\n\""), int64(0))
	f.Add(shortHeader, uint32(math.MaxUint32), []byte("0\n0"), int64(0)) // the second line is beyond uint32
	f.Fuzz(func(t *testing.T, header string, line uint32, data []byte, length int64) {
		data = stretch(data)
		p := NewParser()
		got, blank := judgements(p, Chunk{Source: "s", Columns: header, Line: int64(line), Data: data, Length: length})
		rest, at := data, int64(line)
		passBlanks := func(to int64) {
			for ; len(rest) > 0 && at < to; at, blank = at+1, blank-1 {
				size, _ := wholeLine(rest)
				if !isBlank(rest[:size], ',') {
					t.Fatalf("%.100q of line %d was lost of %.300q", rest[:size], at, data)
				}
				rest = rest[size:]
			}
		}
		for _, r := range got {
			passBlanks(r.line)
			if !bytes.HasPrefix(rest, []byte(r.raw)) {
				t.Fatalf("line %d became %.100q of %.300q", r.line, r.raw, data)
			}
			rest, at = rest[len(r.raw):], at+int64(strings.Count(r.raw, "\n"))
		}
		passBlanks(math.MaxInt64)
		if blank != 0 {
			t.Errorf("%d blank records more than there are in %.300q", blank, data)
		}
	})
}
