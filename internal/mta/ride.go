// Package mta reads the MTA's ridership rows: how a CSV file is divided into
// records, what its columns are called, and what a record means. It knows
// nothing of queues or databases.
//
// A row passes through this package in two steps. A [File] divides a CSV file
// into [Chunk]s of whole records, without parsing them: that is the producer's
// part. A [Parser] turns a chunk into a [Part] of rides and rejects: that is the
// consumer's part, for chunks of any publisher.
package mta

import (
	"strconv"
	"time"
)

// MaxRecord is the longest record in bytes, without its line ending. A quoted
// field that has not ended by then counts as a quote that is not closed.
const MaxRecord = 64 << 10

// A Chunk is one or more whole records of one source: adjacent bytes of the
// file, with line endings and blank records. One message carries one chunk.
type Chunk struct {
	Source  string // the data set's name
	Columns string // the header record, without BOM and line ending
	Line    int64  // the physical line the first record starts on; the header is line 1
	Data    []byte

	// Length is 0, except for a single line longer than MaxRecord. Data then
	// has its first MaxRecord bytes, and Length is the length of the line.
	Length int64

	// Records and Blank count the records in Data. File fills them in; a
	// message does not carry them.
	Records, Blank int
}

// A Ride is one row as it is stored. The texts that many rows share are in the
// [Dimensions] of its batch.
type Ride struct {
	Line         uint32
	Station      uint32 // index into Dimensions.Stations
	Fare         uint32 // index into Dimensions.Fares
	HasTransfers bool   // false: the file has no such column, and NULL is stored
	At           int64  // seconds since 1970-01-01 00:00 in New York wall-clock time
	Ridership    int64  // >= 0
	Transfers    int64  // >= 0
	Raw          []byte // the bytes of the record, with its line ending
}

// A Reject is a record that can't be stored as a ride, and the reason.
//
// A run of rejects stands for the records of consecutive lines, one record a
// line, that are equal byte for byte and have the same reason. Line to Last are
// its lines. A single record has Last equal to Line, or 0.
type Reject struct {
	Line   int64  // the physical line it starts on
	Last   int64  // the last line of a run
	Column string // the column at fault, "" for the record as a whole
	Reason string // for a person, with the value at fault
	Record []byte // the bytes of the record, with its line ending
}

// Lines returns the number of records that r stands for.
func (r *Reject) Lines() int64 { return max(r.Last-r.Line, 0) + 1 }

// Text is a column's text. It is not Valid if the file has no such column, and
// is then stored as NULL instead of the empty string.
type Text struct {
	S     string
	Valid bool
}

// Number is a coordinate in degrees. It is not Valid if it is empty, or if the
// file has no such column.
type Number struct {
	F     float64
	Valid bool
}

// A Station is all that a row says about its station. One complex has several
// names and coordinates over the years, and each combination is kept.
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
// index. A parser only appends to them: within one Epoch an index keeps its
// meaning from batch to batch. With a new Epoch, whatever was derived from
// earlier indexes is invalid.
type Dimensions struct {
	Epoch    uint64
	Stations []Station
	Fares    []Fare
}

// A Part is the rides and rejects of one chunk.
type Part struct {
	Source  string
	Columns string
	Rides   []Ride // in file order
	Rejects []Reject
	Blank   int
}

// A Batch is the parts stored in one transaction, in order of arrival.
type Batch struct {
	Parts []Part
	Dims  Dimensions
	Mark  Mark // zero if no message came from a stream
}

// Rows counts the rides and the rejected records of a batch.
func (b *Batch) Rows() int {
	n := 0
	for i := range b.Parts {
		n += len(b.Parts[i].Rides)
		for j := range b.Parts[i].Rejects {
			n += int(b.Parts[i].Rejects[j].Lines())
		}
	}
	return n
}

// A Mark is a position in a stream: with this batch, all messages up to
// Sequence are stored. The database keeps it beside the rows. A database whose
// mark is behind the acknowledged messages of the stream lacks rows.
type Mark struct {
	Stream   string // the stream's time of creation, RFC 3339 with nanoseconds
	Sequence uint64
}

// Inserted counts the rows that a database has inserted since it was created: rides,
// and lines of rejects. It only grows.
type Inserted struct {
	Rides   int64 `json:"rides"`
	Rejects int64 `json:"rejects"`
}

// An Outcome counts the rows of a part by their result, after the commit. The
// sum is the part's rides and rejects.
type Outcome struct {
	Stored       int `json:"stored"`
	AlreadyThere int `json:"already_there"`
	Rejected     int `json:"rejected"` // includes rows that differ from the stored row of their line
}

// Add sums two outcomes.
func (o Outcome) Add(p Outcome) Outcome {
	return Outcome{o.Stored + p.Stored, o.AlreadyThere + p.AlreadyThere, o.Rejected + p.Rejected}
}

// ColumnNames returns the columns of a stored ride.
func ColumnNames() []string {
	return append([]string{columnNames[colTimestamp]}, columnNames[colMode:]...)
}

// Column returns a ride's column as text. ok is false for NULL.
func (r Ride) Column(d *Dimensions, name string) (value string, ok bool) {
	station, fare := d.Stations[r.Station], d.Fares[r.Fare]
	switch name {
	case "transit_timestamp":
		return formatTime(r.At), true
	case "ridership":
		return strconv.FormatInt(r.Ridership, 10), true
	case "transfers":
		if !r.HasTransfers {
			return "", false
		}
		return strconv.FormatInt(r.Transfers, 10), true
	case "latitude":
		return station.Latitude.text()
	case "longitude":
		return station.Longitude.text()
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

func (n Number) text() (string, bool) {
	if !n.Valid {
		return "", false
	}
	return strconv.FormatFloat(n.F, 'f', -1, 64), true
}

// formatTime formats a Ride's At as 2006-01-02 15:04:05.
func formatTime(at int64) string { return time.Unix(at, 0).UTC().Format(time.DateTime) }
