// A ride as text, column by column: what verify shows of a difference.

package mta

import (
	"strconv"
	"time"
)

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
