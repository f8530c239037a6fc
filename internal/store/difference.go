package store

// What exactly differs, for a person to read; and the look-up of stations and
// fares by all they say.

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"turnstile/internal/mta"
)

// storedColumns are those of mta.ColumnNames, of the row with an id. The view
// can't be asked: it would look for the line among all rows.
const storedColumns = `SELECT datetime(ride.transit_at, 'unixepoch'), station.transit_mode, station.station_complex_id,
	station.station_complex, station.borough, fare.payment_method, fare.fare_class_category, ride.ridership, ride.transfers,
	station.latitude, station.longitude, station.georeference
	FROM ride LEFT JOIN station ON station.id = ride.station LEFT JOIN fare ON fare.id = ride.fare WHERE ride.id = ?`

// differs counts a row whose stored row has other content, and names the first
// column that does.
func (p *proving) differs(b *mta.Batch, r row) error {
	p.verdict.Records++
	p.verdict.Differs++
	if len(p.verdict.Differences) == mostDifferences {
		return nil
	}
	var stored [12]any
	into := make([]any, len(stored))
	for i := range stored {
		into[i] = &stored[i]
	}
	if err := p.conn.QueryRowContext(p.ctx, storedColumns, r.id).Scan(into...); err != nil {
		return err
	}
	if r.reject() {
		p.note(wholly(r, stored[:]))
		return nil
	}
	d := Difference{Line: int64(r.Line), Kind: "differs"}
	for i, column := range mta.ColumnNames() {
		inDB, inFile := shown(stored[i]), (*string)(nil)
		if value, ok := r.Column(&b.Dims, column); ok {
			inFile = &value
		}
		if inFile == nil && inDB == nil || inFile != nil && inDB != nil && *inFile == *inDB {
			continue
		}
		d.Column, d.InFile, d.InDB = column, inFile, inDB
		break
	}
	p.note(d)
	return nil
}

// reject says that the row is listed for a record that is no ride.
func (r row) reject() bool { return r.part == notARide }

// wholly is the difference between a record that is no ride and the row that
// is stored at its line.
func wholly(r row, stored []any) Difference {
	inFile := strings.TrimRight(string(r.Raw), "\r\n")
	var columns []string
	for _, value := range stored {
		text := ""
		if s := shown(value); s != nil {
			text = *s
		}
		columns = append(columns, text)
	}
	inDB := strings.Join(columns, ",")
	return Difference{Line: int64(r.Line), Kind: "differs", Column: "record", InFile: &inFile, InDB: &inDB}
}

// shown is a stored value as mta.Ride.Column writes it; nil for NULL.
func shown(value any) *string {
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

func (p *proving) station(dims *mta.Dimensions, n uint32) (int64, error) {
	id := at(&p.stations, n)
	if *id != 0 {
		return *id, nil
	}
	err := p.lookUp(id, `SELECT id FROM station WHERE station_complex_id IS ? AND station_complex IS ? AND borough IS ?
		AND transit_mode IS ? AND latitude IS ? AND longitude IS ? AND georeference IS ?`, stationValues(dims.Stations[n])...)
	return *id, err
}

func (p *proving) fare(dims *mta.Dimensions, n uint32) (int64, error) {
	id := at(&p.fares, n)
	if *id != 0 {
		return *id, nil
	}
	err := p.lookUp(id, "SELECT id FROM fare WHERE payment_method IS ? AND fare_class_category IS ?", fareValues(dims.Fares[n])...)
	return *id, err
}

func (p *proving) lookUp(id *int64, query string, values ...any) error {
	err := p.conn.QueryRowContext(p.ctx, query, values...).Scan(id)
	if errors.Is(err, sql.ErrNoRows) {
		*id, err = unknown, nil
	}
	return err
}
