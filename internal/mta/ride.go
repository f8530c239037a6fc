// Package mta knows the MTA's ridership rows: how a CSV file is cut into
// records, what its columns are called, and what a record says. It knows
// nothing of queues or databases.
//
// The way of a row through this package: a [File] cuts a CSV file into
// [Chunk]s of whole records without judging them (the producer does no more),
// and a [Parser] turns a chunk into a [Part] of rides and rejects (the
// consumer does that, on whatever the queue hands it).
package mta

import (
	"strconv"
	"time"
)

// MaxRecord is the longest record in bytes, its line ending not counted. What
// has not ended by then is taken for a quote that was never closed.
const MaxRecord = 64 << 10

// A Chunk is one or more whole records of one source, adjacent in the file and
// exactly as they stand there, line endings and blank records included. It is
// what one message carries.
type Chunk struct {
	Source  string // the data set's name
	Columns string // the header record, without BOM and line ending
	Line    uint32 // the physical line the first record starts on; the header is line 1
	Data    []byte

	// Length is not 0 only where a single line was too long to carry: Data
	// then has its first MaxRecord bytes and Length says how long it was.
	Length int64

	// Records and Blank count what Data holds. The framer fills them in; they
	// do not travel.
	Records, Blank int
}

// A Ride is one row as it is stored. The texts that repeat from row to row
// are held once, in the [Dimensions] of its batch.
type Ride struct {
	Line         uint32
	Station      uint32 // index into Dimensions.Stations
	Fare         uint32 // index into Dimensions.Fares
	HasTransfers bool   // false: the file has no such column, and Transfers is stored as NULL
	At           int64  // seconds since 1970-01-01 00:00 on a New York wall clock, no zone
	Ridership    int64  // >= 0
	Transfers    int64  // >= 0
	Raw          []byte // the record as it stands in the chunk, line ending included
}

// A Reject is a record that is no ride, and why.
type Reject struct {
	Line   int64  // the physical line it starts on
	Column string // the column at fault, "" if it is the record as a whole
	Reason string // for a person to read, with the value at fault
	Record []byte // as it stands, line ending included
}

// Text is a column's text, or nothing where the file has no such column. The
// two are stored apart, as NULL and as the empty string.
type Text struct {
	S     string
	Valid bool
}

// Number is a coordinate in degrees, or nothing (no such column, or empty).
type Number struct {
	F     float64
	Valid bool
}

// A Station is what a row says of its station, as a whole: one complex comes
// with several names and coordinates over the years, and each is kept.
type Station struct {
	ComplexID, Complex, Borough, Mode Text
	Latitude, Longitude               Number
	Georeference                      Text
}

// A Fare is how a ride was paid.
type Fare struct {
	PaymentMethod, FareClass Text
}

// Dimensions are the stations and fares that the rides of a batch refer to by
// index. A parser only ever appends to them, so an index means the same from
// one batch to the next as long as Epoch is the same. With a new Epoch all
// that was derived from earlier indexes must be forgotten.
type Dimensions struct {
	Epoch    uint64
	Stations []Station
	Fares    []Fare
}

// A Part is what one chunk came to.
type Part struct {
	Source  string
	Columns string
	Rides   []Ride // in file order
	Rejects []Reject
	Blank   int
}

// A Batch is what is stored in one transaction: parts in order of arrival.
type Batch struct {
	Parts []Part
	Dims  Dimensions
}

// Rows counts the rides and rejects of a batch.
func (b *Batch) Rows() int {
	n := 0
	for i := range b.Parts {
		n += len(b.Parts[i].Rides) + len(b.Parts[i].Rejects)
	}
	return n
}

// An Outcome is what became of the rows of a part, once they are committed.
// The three add up to the part's rides and rejects.
type Outcome struct {
	Stored       int `json:"stored"`
	AlreadyThere int `json:"already_there"`
	Rejected     int `json:"rejected"` // those that differ from the row stored at their line among them
}

// Add sums two outcomes.
func (o Outcome) Add(p Outcome) Outcome {
	return Outcome{o.Stored + p.Stored, o.AlreadyThere + p.AlreadyThere, o.Rejected + p.Rejected}
}

// A ride as text, column by column: what verify shows of a difference.

// ColumnNames are the columns of a stored ride.
func ColumnNames() []string {
	return append([]string{columnNames[colTimestamp]}, columnNames[colMode:]...)
}

// Column renders a ride's column; ok is false where it is stored as NULL.
func (r Ride) Column(d *Dimensions, name string) (value string, ok bool) {
	station, fare := d.Stations[r.Station], d.Fares[r.Fare]
	switch name {
	case "transit_timestamp":
		return FormatTime(r.At), true
	case "ridership":
		return strconv.FormatInt(r.Ridership, 10), true
	case "transfers":
		if !r.HasTransfers {
			return "", false
		}
		return strconv.FormatInt(r.Transfers, 10), true
	case "latitude":
		return station.Latitude.show()
	case "longitude":
		return station.Longitude.show()
	}
	texts := map[string]Text{
		"transit_mode":        station.Mode,
		"station_complex_id":  station.ComplexID,
		"station_complex":     station.Complex,
		"borough":             station.Borough,
		"georeference":        station.Georeference,
		"payment_method":      fare.PaymentMethod,
		"fare_class_category": fare.FareClass,
	}
	return texts[name].S, texts[name].Valid
}

func (n Number) show() (string, bool) {
	if !n.Valid {
		return "", false
	}
	return strconv.FormatFloat(n.F, 'f', -1, 64), true
}

// FormatTime writes a Ride's At as it is shown: 2006-01-02 15:04:05.
func FormatTime(at int64) string { return time.Unix(at, 0).UTC().Format(time.DateTime) }
