package store

// How fast rows go in and are proved, so that a slower version is seen.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"turnstile/internal/mta"
)

const (
	benchBatch    = 20_000 // rows of a transaction, as the consumer's
	benchMessage  = 8_000  // rows of a message of full size
	benchStations = 428
	benchFares    = 12
)

var benchDims = makeBenchDims()

func makeBenchDims() mta.Dimensions {
	dims := mta.Dimensions{Epoch: 1 << 40}
	for i := range benchStations {
		dims.Stations = append(dims.Stations, mta.Station{
			ComplexID: text1(fmt.Sprint(i)), Complex: text1(fmt.Sprint("Station ", i)),
			Latitude: mta.Number{F: 40 + float64(i)/1000, Valid: true},
		})
	}
	for i := range benchFares {
		dims.Fares = append(dims.Fares, mta.Fare{PaymentMethod: text1("omny"), FareClass: text1(fmt.Sprint("class ", i))})
	}
	return dims
}

// benchBatches are batches of rows as real ones are: one hour after the other,
// any station, few riders mostly.
func benchBatches(source string, batches int, line uint32) []*mta.Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	raw := make([]byte, 120)
	var made []*mta.Batch
	for range batches {
		b := &mta.Batch{Dims: benchDims}
		for n := benchBatch; n > 0; n -= benchMessage {
			p := mta.Part{Source: source, Columns: "x"}
			for range min(n, benchMessage) {
				p.Rides = append(p.Rides, mta.Ride{
					Line: line, At: int64(line/3500) * 3600, Station: rng.Uint32N(benchStations), Fare: rng.Uint32N(benchFares),
					Ridership: int64(1 + rng.ExpFloat64()*44), HasTransfers: true, Transfers: int64(rng.ExpFloat64()), Raw: raw,
				})
				line++
			}
			b.Parts = append(b.Parts, p)
		}
		made = append(made, b)
	}
	return made
}

func benchWrite(b *testing.B, d *DB, batches []*mta.Batch) {
	// As the consumer's: one that can be cancelled, which is dearer.
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, batch := range batches {
		if _, err := d.Write(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
}

func perSecond(b *testing.B, rows int) {
	b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

const benchTimes = 10 // batches of an iteration

func BenchmarkAppend(b *testing.B) {
	batches := benchBatches("a.csv", benchTimes, 2)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		d := open(b, filepath.Join(b.TempDir(), "rides.db"))
		b.StartTimer()
		benchWrite(b, d, batches)
	}
	perSecond(b, benchTimes*benchBatch)
}

// BenchmarkGeneral has rows of a later source in the table, so that none can
// be appended.
func BenchmarkGeneral(b *testing.B) {
	first, batches, last := benchBatches("a.csv", 1, 2), benchBatches("a.csv", benchTimes, 2+benchBatch), benchBatches("b.csv", 1, 2)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		d := open(b, filepath.Join(b.TempDir(), "rides.db"))
		benchWrite(b, d, append(first, last...))
		b.StartTimer()
		benchWrite(b, d, batches)
	}
	perSecond(b, benchTimes*benchBatch)
}

func BenchmarkReplay(b *testing.B) {
	batches := benchBatches("a.csv", benchTimes, 2)
	d := open(b, filepath.Join(b.TempDir(), "rides.db"))
	benchWrite(b, d, batches)
	b.ReportAllocs()
	for b.Loop() {
		benchWrite(b, d, batches)
	}
	perSecond(b, benchTimes*benchBatch)
}

// BenchmarkOneRow has one row a transaction: what is paid once a transaction.
func BenchmarkOneRow(b *testing.B) {
	d := open(b, filepath.Join(b.TempDir(), "rides.db"))
	batch := &mta.Batch{Dims: benchDims, Parts: []mta.Part{{Source: "a.csv", Columns: "x", Rides: []mta.Ride{{Line: 1, Raw: []byte("raw")}}}}}
	b.ReportAllocs()
	for b.Loop() {
		batch.Parts[0].Rides[0].Line++
		benchWrite(b, d, []*mta.Batch{batch})
	}
}

// BenchmarkLargeReject has one reject of 900 KB a transaction. The time of one
// must not grow with their number.
func BenchmarkLargeReject(b *testing.B) {
	d := open(b, filepath.Join(b.TempDir(), "rides.db"))
	batch := &mta.Batch{Dims: benchDims, Parts: []mta.Part{{Source: "a.csv", Columns: "x", Rejects: []mta.Reject{{Line: 1, Reason: "bad"}}}}}
	for b.Loop() {
		r := &batch.Parts[0].Rejects[0]
		r.Line++
		r.Record = bytes.Repeat([]byte{byte(r.Line)}, 900_000)
		benchWrite(b, d, []*mta.Batch{batch})
	}
}

// BenchmarkRejects has 100,000 different rejects a transaction.
func BenchmarkRejects(b *testing.B) {
	const rejects = 100_000
	part := mta.Part{Source: "a.csv", Columns: "x"}
	for line := range int64(rejects) {
		part.Rejects = append(part.Rejects, mta.Reject{Line: 2 + line, Reason: "bad", Record: fmt.Appendf(nil, "%d\n", line)})
	}
	for b.Loop() {
		b.StopTimer()
		d := open(b, filepath.Join(b.TempDir(), "rides.db"))
		b.StartTimer()
		benchWrite(b, d, []*mta.Batch{{Dims: benchDims, Parts: []mta.Part{part}}})
	}
	perSecond(b, rejects)
}

func BenchmarkVerify(b *testing.B) {
	batches := benchBatches("a.csv", benchTimes, 2)
	path := filepath.Join(b.TempDir(), "rides.db")
	benchWrite(b, open(b, path), batches)
	r, err := OpenReader(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		v, err := r.Verify(b.Context(), "a.csv", 0, each(batches))
		if err != nil || v.Stored != benchTimes*benchBatch {
			b.Fatal(v, err)
		}
	}
	perSecond(b, benchTimes*benchBatch)
}

// each hands out batches one after the other.
func each(batches []*mta.Batch) func() (*mta.Batch, error) {
	return func() (*mta.Batch, error) {
		if len(batches) == 0 {
			return nil, io.EOF
		}
		b := batches[0]
		batches = batches[1:]
		return b, nil
	}
}
