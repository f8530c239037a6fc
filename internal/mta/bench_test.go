// How fast framing and parsing are, so that a slower version is seen.

package mta

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

const portalHeader = "transit_timestamp,transit_mode,station_complex_id,station_complex,borough,payment_method," +
	"fare_class_category,ridership,transfers,latitude,longitude,Georeference"

// portalRows makes rows as the portal's, unsorted. A share of the stations of
// the real file has a comma in its name and is quoted: quoted says how many.
func portalRows(n int, quoted float64) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for range n {
		id := 1 + random.IntN(428)
		name := fmt.Sprintf("Station no. %d (A)", id)
		if float64(id) < quoted*428 {
			name = fmt.Sprintf("\"Station no. %d (A,C)\"", id)
		}
		fmt.Fprintf(&b, "%02d/%02d/2023 %02d:00:00 %s,subway,%d,%s,Brooklyn,metrocard,Metrocard - Unlimited %d-Day,%d,%d,%.6f,%.6f,POINT (%.6f %.6f)\n",
			1+random.IntN(12), 1+random.IntN(28), 1+random.IntN(12), []string{"AM", "PM"}[random.IntN(2)], id, name, 7+random.IntN(10), 1+random.IntN(200), random.IntN(10),
			40.6+float64(id)/1000, -73.9-float64(id)/1000, -73.9-float64(id)/1000, 40.6+float64(id)/1000)
	}
	return b.Bytes()
}

// allQuoted turns rows without quotes into the API's way to write them.
func allQuoted(rows []byte) []byte {
	s := strings.TrimSuffix(string(rows), "\n")
	s = strings.ReplaceAll(s, ",", `","`)
	return []byte(`"` + strings.ReplaceAll(s, "\n", "\"\n\"") + "\"\n")
}

var benchmarkRows = []struct {
	name string
	make func() []byte
}{
	{"portal", func() []byte { return portalRows(100_000, 0) }},
	{"portal-commas", func() []byte { return portalRows(100_000, 0.44) }},
	{"all-quoted", func() []byte { return allQuoted(portalRows(100_000, 0)) }},
}

func BenchmarkFramer(b *testing.B) {
	for _, rows := range benchmarkRows {
		b.Run(rows.name, func(b *testing.B) {
			data := rows.make()
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				f, err := NewFile(bytes.NewReader(data), FileOptions{Source: "s", Columns: portalHeader})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					c, err := f.Next(900<<10, 0)
					if err == io.EOF {
						break
					}
					n += c.Records
				}
				if n != 100_000 {
					b.Fatal(n)
				}
			}
		})
	}
}

func BenchmarkParser(b *testing.B) {
	for _, rows := range benchmarkRows {
		b.Run(rows.name, func(b *testing.B) {
			f, err := NewFile(bytes.NewReader(rows.make()), FileOptions{Source: "s", Columns: portalHeader})
			if err != nil {
				b.Fatal(err)
			}
			c, err := f.Next(900<<10, 0) // as much as a message carries
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(c.Data)))
			p := NewParser()
			for b.Loop() {
				part := p.Parse(c)
				if len(part.Rides) != c.Records {
					b.Fatal(len(part.Rides), part.Rejects[0].Reason)
				}
			}
			b.ReportMetric(float64(b.N*c.Records)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
