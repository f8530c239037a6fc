package store

// A model of what the database should hold: a map, to which the parts are
// applied one after the other. It knows nothing of batches.

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"turnstile/internal/mta"
)

var testDims = mta.Dimensions{
	Epoch: 1,
	Stations: []mta.Station{
		{ComplexID: text1("10"), Complex: text1("49 St (N,R,W)"), Latitude: mta.Number{F: 40.7599, Valid: true}},
		{ComplexID: text1("10")},
		{ComplexID: text1("10"), Complex: text1("")}, // '' is not NULL
	},
	Fares: []mta.Fare{{PaymentMethod: text1("omny"), FareClass: text1("OMNY - Full Fare")}, {}, {PaymentMethod: text1("")}},
}

func text1(s string) mta.Text { return mta.Text{S: s, Valid: true} }

type key struct {
	source string
	line   int64
}

type rejectKey struct {
	key
	record string
}

// A model is what the database should hold.
type model struct {
	rides   map[key]string     // content
	rejects map[rejectKey]bool // whether it differs from the stored row
	refuses func(mta.Ride) bool
}

func newModel() *model {
	return &model{map[key]string{}, map[rejectKey]bool{}, func(mta.Ride) bool { return false }}
}

// content is what makes two rides equal.
func content(r *mta.Ride) string {
	return fmt.Sprint(r.At, r.Station, r.Fare, r.Ridership, r.HasTransfers, r.Transfers)
}

func (m *model) write(b *mta.Batch) (outcomes []mta.Outcome) {
	for _, p := range b.Parts {
		var o mta.Outcome
		for _, r := range p.Rides {
			o = o.Add(m.ride(p.Source, r))
		}
		for _, r := range p.Rejects {
			o.Rejected++
			m.reject(key{p.Source, r.Line}, r.Record, false)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func (m *model) ride(source string, r mta.Ride) mta.Outcome {
	k := key{source, int64(r.Line)}
	old, known := m.rides[k]
	switch {
	case !known && m.refuses(r):
		m.reject(k, r.Raw, false)
		return mta.Outcome{Rejected: 1}
	case !known:
		m.rides[k] = content(&r)
		maps.DeleteFunc(m.rejects, func(x rejectKey, _ bool) bool { return x.key == k })
		return mta.Outcome{Stored: 1}
	case old == content(&r):
		maps.DeleteFunc(m.rejects, func(x rejectKey, differs bool) bool { return x.key == k && !differs })
		return mta.Outcome{AlreadyThere: 1}
	}
	m.reject(k, r.Raw, true)
	return mta.Outcome{Rejected: 1}
}

func (m *model) reject(k key, record []byte, differs bool) {
	x := rejectKey{k, string(record)}
	m.rejects[x] = m.rejects[x] || differs
}

// judge says what verify should make of a file whose records are parts, their
// lines in order.
func (m *model) judge(source string, parts []mta.Part) (v Verdict) {
	lines := map[int64]bool{}
	judge := func(line int64, ride string, record []byte) {
		lines[line] = true
		v.Records++
		stored, known := m.rides[key{source, line}]
		_, rejected := m.rejects[rejectKey{key{source, line}, string(record)}]
		switch {
		case known && stored == ride:
			v.Stored++
		case known:
			v.Differs++
		case rejected:
			v.Rejected++
		default:
			v.Missing++
		}
	}
	for _, p := range parts {
		for i := range p.Rides {
			judge(int64(p.Rides[i].Line), content(&p.Rides[i]), p.Rides[i].Raw)
		}
		for _, r := range p.Rejects {
			judge(r.Line, "none", r.Record)
		}
	}
	for k := range m.rides {
		if k.source == source && !lines[k.line] {
			v.Extra++
		}
	}
	return v
}

// check compares the tables with the model.
func (m *model) check(t *testing.T, path string) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if rides := ridesOf(t, r); !maps.Equal(rides, m.rides) {
		for _, k := range slices.Collect(maps.Keys(m.rides)) {
			if rides[k] != m.rides[k] {
				t.Errorf("%v: %q, want %q", k, rides[k], m.rides[k])
				break
			}
		}
		t.Errorf("%d rides, and the model has %d; or their content differs", len(rides), len(m.rides))
	}
	rejects := map[rejectKey]bool{}
	if err := r.Rejects(t.Context(), "", func(x Reject) error {
		rejects[rejectKey{key{x.Source, x.Line}, string(x.Record)}] = x.Reason == reasonDiffers
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(rejects, m.rejects) {
		t.Errorf("rejects %v, want %v", rejects, m.rejects)
	}
	m.checkSources(t, r)
}

// ridesOf reads all rides by the view, as a person would.
func ridesOf(t *testing.T, r *Reader) map[key]string {
	t.Helper()
	rows, err := r.db.QueryContext(t.Context(), `SELECT source, line, unixepoch(transit_timestamp), station_complex, payment_method,
		ridership, transfers IS NOT NULL, ifnull(transfers, 0) FROM ridership`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rides := map[key]string{}
	for rows.Next() {
		var k key
		var x mta.Ride
		var name, method *string
		if err := rows.Scan(&k.source, &k.line, &x.At, &name, &method, &x.Ridership, &x.HasTransfers, &x.Transfers); err != nil {
			t.Fatal(err)
		}
		x.Station = uint32(slices.IndexFunc(testDims.Stations, func(s mta.Station) bool { return sameText(s.Complex, name) }))
		x.Fare = uint32(slices.IndexFunc(testDims.Fares, func(f mta.Fare) bool { return sameText(f.PaymentMethod, method) }))
		if _, twice := rides[k]; twice {
			t.Errorf("%v is there twice", k)
		}
		rides[k] = content(&x)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return rides
}

func sameText(a mta.Text, b *string) bool {
	return a.Valid == (b != nil) && (b == nil || a.S == *b)
}

func (m *model) checkSources(t *testing.T, r *Reader) {
	t.Helper()
	list, err := r.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		var want Source
		for k := range m.rides {
			if k.source == s.Name {
				if want.Rows++; want.Rows == 1 || k.line < want.FirstLine {
					want.FirstLine = k.line
				}
				want.LastLine = max(want.LastLine, k.line)
			}
		}
		for x := range m.rejects {
			if x.source == s.Name {
				want.Rejects++
			}
		}
		if s.Rows != want.Rows || s.Rejects != want.Rejects || s.FirstLine != want.FirstLine || s.LastLine != want.LastLine || (s.FirstTime == "") != (s.Rows == 0) {
			t.Errorf("source %+v, want %+v", s, want)
		}
	}
}
