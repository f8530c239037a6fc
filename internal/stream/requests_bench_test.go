//go:build unix

package stream

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
	"turnstile/internal/natsd/natsdtest"
)

// BenchmarkRequest is the way of a request and its answer through one broker,
// without a database: what the stream costs a row of the lab's confirmed. The
// CPU time of requester, broker and writer together is cpu-us/op.
func BenchmarkRequest(b *testing.B) {
	broker := natsdtest.Start(b, func(ctx context.Context, nc *nats.Conn) error { return Ensure(ctx, nc, 1<<20, 1) })
	dial := func() *Conn {
		c, err := Connect(b.Context(), Config{Servers: broker.URL(), Role: "bench", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.nc.Close)
		return c
	}
	r, err := dial().Reader(b.Context(), ReaderOptions{Database: &testDatabase{id: "db1", path: "/db1"}})
	if err != nil {
		b.Fatal(err)
	}
	requests, err := r.Requests()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			d, err := requests.Next(ctx)
			if err != nil {
				return
			}
			if err := d.Confirm([]byte(`{"stored":1,"already_there":0,"rejected":0}`)); err != nil {
				b.Error(err)
			}
		}
	}()
	requester, err := dial().Requester()
	if err != nil {
		b.Fatal(err)
	}
	chunk := mta.Chunk{
		Source: "bench", Columns: "transit_timestamp,transit_mode,station_complex_id,station_complex,borough,payment_method," +
			"fare_class_category,ridership,transfers,latitude,longitude,Georeference",
		Line: 2, Records: 1, Data: []byte("02/01/2022 12:00:00 AM,subway,337,\"Nevins St (2,3,4,5)\",Brooklyn,omny,OMNY - Full Fare,4,0,40.6,-73.9,POINT (-73.9 40.6)\n"),
	}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if _, err := requester.Store(b.Context(), chunk); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
	cancel()
	<-done
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
