package store

// The ids of sources, stations and fares, so that a row costs no look-up.

import (
	"database/sql"

	"turnstile/internal/mta"
)

// A cache knows ids. The id of an insert that was rolled back is given to
// another row, so a cache does not outlive a failed transaction (see reset),
// nor a change that another connection made.
type cache struct {
	epoch    uint64 // of the dimensions that stations and fares are indexed by
	seen     int64  // PRAGMA data_version: other connections' commits
	sources  map[string]int64
	stations []int64 // by index in Dimensions.Stations; 0: not known yet
	fares    []int64

	rows []row // kept for its memory only
}

// mostSources bounds what is remembered of sources; stations and fares are
// bounded by whoever numbers them.
const mostSources = 1 << 12

// refresh forgets what may no longer be so. It is called inside the write
// transaction: nothing can change after it.
func (c *cache) refresh(version int64, epoch uint64) {
	if c.sources == nil || c.seen != version || len(c.sources) > mostSources {
		*c = cache{epoch: epoch, seen: version, sources: map[string]int64{}, rows: c.rows}
	}
	if c.epoch != epoch {
		c.epoch, c.stations, c.fares = epoch, nil, nil
	}
}

// at grows a table of ids to have n, and returns the id there.
func at(ids *[]int64, n uint32) *int64 {
	for int(n) >= len(*ids) {
		*ids = append(*ids, 0)
	}
	return &(*ids)[n]
}

func (w *writing) station(n uint32) (int64, error) {
	id := at(&w.cache.stations, n)
	if *id != 0 {
		return *id, nil
	}
	// Setting a column to itself makes RETURNING give the id of a row that is
	// there already.
	err := w.query(w.ctx, id, `INSERT INTO station (station_complex_id, station_complex, borough, transit_mode, latitude, longitude, georeference)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET borough = borough RETURNING id`, stationValues(w.batch.Dims.Stations[n])...)
	return *id, err
}

func (w *writing) fare(n uint32) (int64, error) {
	id := at(&w.cache.fares, n)
	if *id != 0 {
		return *id, nil
	}
	err := w.query(w.ctx, id, `INSERT INTO fare (payment_method, fare_class_category) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET payment_method = payment_method RETURNING id`, fareValues(w.batch.Dims.Fares[n])...)
	return *id, err
}

func stationValues(s mta.Station) []any {
	return []any{
		text(s.ComplexID), text(s.Complex), text(s.Borough), text(s.Mode),
		number(s.Latitude), number(s.Longitude), text(s.Georeference),
	}
}

func fareValues(f mta.Fare) []any { return []any{text(f.PaymentMethod), text(f.FareClass)} }

func text(t mta.Text) sql.NullString { return sql.NullString{String: t.S, Valid: t.Valid} }

func number(n mta.Number) sql.NullFloat64 { return sql.NullFloat64{Float64: n.F, Valid: n.Valid} }
