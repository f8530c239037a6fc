package lab

import (
	"fmt"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/mta"
)

// row is a line of one large data set, which is distributed to the processes
// like cards, a transaction's rows at a time. Every strategy gets the same
// rows: a row is a function of its process and its number.
type row uint32

const (
	firstLine  = 2 // as in a file with a header
	sourceID   = 1 // of the data set in the table
	sourceName = "contention"
)

// rowOf returns the n-th row of a process, counted from 0.
func rowOf(s report.Setting, process, n int) row {
	k := s.PerTransaction
	return row(firstLine + (n/k*s.Processes+process-1)*k + n%k)
}

// nthRow returns the n-th of the rows of all processes, taken in turn.
func nthRow(s report.Setting, n int) row { return rowOf(s, n%s.Processes+1, n/s.Processes) }

// ownerOf returns whose row it is, and the number it has there.
func ownerOf(s report.Setting, r row) (process, n int) {
	k := s.PerTransaction
	block := int(r-firstLine) / k
	return block%s.Processes + 1, block/s.Processes*k + int(r-firstLine)%k
}

// ride is a row as the table has it. Its texts are in tables of their own,
// which the lab fills before a trial, in the order of stations and fares.
type ride struct {
	id        int64
	at        int64
	station   int64
	fare      int64
	ridership int64
	transfers int64
}

var firstHour = time.Date(2024, 10, 1, 0, 0, 0, 0, time.UTC).Unix()

func (r row) ride() ride {
	h := uint64(r) * 0x9e3779b97f4a7c15 // spreads what follows; any odd number would do
	h ^= h >> 29
	station, fare := h%uint64(len(stations)), h>>8%uint64(len(fares))
	return ride{
		id:        sourceID<<32 | int64(r),
		at:        firstHour + 3600*int64(r/16%(24*90)),
		station:   int64(station) + 1,
		fare:      int64(fare) + 1,
		ridership: int64(1 + h>>16%400),
		transfers: int64(h >> 32 % 5),
	}
}

// columns is the header of the rows as a producer would send them.
const columns = "transit_timestamp,transit_mode,station_complex_id,station_complex,borough,payment_method," +
	"fare_class_category,ridership,transfers,latitude,longitude,Georeference"

// appendRecord appends the row as a CSV record.
func (r row) appendRecord(b []byte) []byte {
	v := r.ride()
	s, f := stations[v.station-1], fares[v.fare-1]
	b = time.Unix(v.at, 0).UTC().AppendFormat(b, "01/02/2006 03:04:05 PM")
	return fmt.Appendf(b, ",%s,%s,\"%s\",%s,%s,%s,%d,%d,%v,%v,%s\n",
		s.Mode.S, s.ComplexID.S, s.Complex.S, s.Borough.S, f.PaymentMethod.S, f.FareClass.S,
		v.ridership, v.transfers, s.Latitude.F, s.Longitude.F, s.Georeference.S)
}

var stations = []mta.Station{
	station("611", "Times Sq-42 St (N,Q,R,W,S,1,2,3,7)/42 St (A,C,E)", "Manhattan", 40.755290, -73.987495),
	station("610", "Grand Central-42 St (S,4,5,6,7)", "Manhattan", 40.751776, -73.976848),
	station("602", "14 St-Union Sq (L,N,Q,R,W,4,5,6)", "Manhattan", 40.734673, -73.989951),
	station("617", "Atlantic Av-Barclays Ctr (B,D,N,Q,R,2,3,4,5)", "Brooklyn", 40.684359, -73.977666),
	station("447", "Flushing-Main St (7)", "Queens", 40.759600, -73.830030),
	station("604", "161 St-Yankee Stadium (B,D,4)", "Bronx", 40.827994, -73.925831),
}

func station(id, name, borough string, lat, lon float64) mta.Station {
	return mta.Station{
		ComplexID: textOf(id), Complex: textOf(name), Borough: textOf(borough), Mode: textOf("subway"),
		Latitude: mta.Number{F: lat, Valid: true}, Longitude: mta.Number{F: lon, Valid: true},
		Georeference: textOf(fmt.Sprintf("POINT (%v %v)", lon, lat)),
	}
}

var fares = []mta.Fare{
	{PaymentMethod: textOf("metrocard"), FareClass: textOf("Metrocard - Full Fare")},
	{PaymentMethod: textOf("metrocard"), FareClass: textOf("Metrocard - Unlimited 7-Day")},
	{PaymentMethod: textOf("omny"), FareClass: textOf("OMNY - Full Fare")},
	{PaymentMethod: textOf("omny"), FareClass: textOf("OMNY - Students")},
}

func textOf(s string) mta.Text { return mta.Text{S: s, Valid: true} }
