package store

import (
	"fmt"
	"strconv"
	"strings"

	"turnstile/internal/mta"
)

// addDifference names a difference in the verdict while there is room.
func (v *verifier) addDifference(d Difference) {
	if len(v.verdict.Differences) < maxDifferences {
		v.verdict.Differences = append(v.verdict.Differences, d)
	}
}

// rideColumns are those of mta.ColumnNames.
const rideColumns = `datetime(ride.transit_at, 'unixepoch'), station.transit_mode, station.station_complex_id,
	station.station_complex, station.borough, fare.payment_method, fare.fare_class_category, ride.ridership, ride.transfers,
	station.latitude, station.longitude, station.georeference`

// storedColumns selects the columns of one ride. The view cannot be used, because it
// would search all rows for the line.
const storedColumns = `SELECT ` + rideColumns + `
	FROM ride LEFT JOIN station ON station.id = ride.station LEFT JOIN fare ON fare.id = ride.fare WHERE ride.id = ?`

// addDiffering counts a row that differs from the stored one, and names the
// first column that does.
func (v *verifier) addDiffering(b *mta.Batch, r batchRow) error {
	v.verdict.Records++
	v.verdict.Differs++
	if len(v.verdict.Differences) == maxDifferences {
		return nil
	}
	var stored [12]any
	into := make([]any, len(stored))
	for i := range stored {
		into[i] = &stored[i]
	}
	if err := v.conn.QueryRowContext(v.ctx, storedColumns, r.id).Scan(into...); err != nil {
		return err
	}
	if r.isReject() {
		v.addDifference(wholeRecord(b, r, stored[:]))
		return nil
	}
	v.addDifference(differingColumn(r.Ride, &b.Dims, stored[:]))
	return nil
}

// differingColumn returns the first column in which a ride differs from the stored
// values of mta.ColumnNames at its line. The column is "" if there is none.
func differingColumn(r *mta.Ride, dims *mta.Dimensions, stored []any) Difference {
	d := Difference{Line: int64(r.Line), Kind: "differs"}
	for i, column := range mta.ColumnNames() {
		inDB, inFile := formatValue(stored[i]), (*string)(nil)
		if value, ok := r.Column(dims, column); ok {
			inFile = &value
		}
		if inFile == nil && inDB == nil || inFile != nil && inDB != nil && *inFile == *inDB {
			continue
		}
		d.Column, d.InFile, d.InDB = column, inFile, inDB
		break
	}
	return d
}

// wholeRecord returns the difference between a record that is no ride and the
// ride stored at its line.
func wholeRecord(b *mta.Batch, r batchRow, stored []any) Difference {
	d := Difference{Line: int64(r.Line), Kind: "differs", Column: "record"}
	for i := range b.Parts {
		for _, x := range b.Parts[i].Rejects {
			if x.Line <= d.Line && d.Line <= max(x.Line, x.Last) {
				d.Reason = x.Reason
			}
		}
	}
	inFile := strings.TrimRight(string(r.Raw), "\r\n")
	var columns []string
	for _, value := range stored {
		text := ""
		if s := formatValue(value); s != nil {
			text = *s
		}
		columns = append(columns, text)
	}
	inDB := strings.Join(columns, ",")
	d.InFile, d.InDB = &inFile, &inDB
	return d
}

// formatValue formats a stored value as mta.Ride.Column does. It returns nil
// for NULL.
func formatValue(value any) *string {
	var text string
	switch v := value.(type) {
	case nil:
		return nil
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		text = fmt.Sprint(v)
	}
	return &text
}
