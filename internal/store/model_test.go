package store

// A model of what the database should hold: a map, to which the parts are
// applied one after the other. It knows nothing of batches.
// Random batches against the model: whatever comes in whatever order, cut and
// repeated as it may be, tables and outcomes are the model's.

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

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

type modelKey struct {
	source string
	line   int64
}

type modelReject struct {
	modelKey
	record string
}

// A model is what the database should hold.
type model struct {
	rides   map[modelKey]string  // content
	rejects map[modelReject]bool // whether it differs from the stored row
	refuses func(mta.Ride) bool
}

func newModel() *model {
	return &model{map[modelKey]string{}, map[modelReject]bool{}, func(mta.Ride) bool { return false }}
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
			for line := r.Line; line <= max(r.Line, r.Last); line++ {
				o.Rejected++
				m.reject(modelKey{p.Source, line}, r.Record, false)
			}
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func (m *model) ride(source string, r mta.Ride) mta.Outcome {
	k := modelKey{source, int64(r.Line)}
	old, known := m.rides[k]
	switch {
	case !known && m.refuses(r):
		m.reject(k, r.Raw, false)
		return mta.Outcome{Rejected: 1}
	case !known:
		m.rides[k] = content(&r)
		maps.DeleteFunc(m.rejects, func(x modelReject, _ bool) bool { return x.modelKey == k })
		return mta.Outcome{Stored: 1}
	case old == content(&r):
		maps.DeleteFunc(m.rejects, func(x modelReject, differs bool) bool { return x.modelKey == k && !differs })
		return mta.Outcome{AlreadyThere: 1}
	}
	m.reject(k, r.Raw, true)
	return mta.Outcome{Rejected: 1}
}

func (m *model) reject(k modelKey, record []byte, differs bool) {
	x := modelReject{k, string(record)}
	m.rejects[x] = m.rejects[x] || differs
}

// judge says what verify should make of a file whose records are parts, their
// lines in order.
func (m *model) judge(source string, parts []mta.Part) (v Verdict) {
	lines := map[int64]bool{}
	judge := func(line int64, ride string, record []byte) {
		lines[line] = true
		v.Records++
		stored, known := m.rides[modelKey{source, line}]
		_, rejected := m.rejects[modelReject{modelKey{source, line}, string(record)}]
		switch {
		case known && stored == ride:
			v.Stored++
		case known:
			v.Differs++
		case rejected:
			v.Rejected++
		default:
			v.Missing++
			if v.FirstMissing == 0 || line < v.FirstMissing {
				v.FirstMissing = line
			}
		}
	}
	for _, p := range parts {
		for i := range p.Rides {
			judge(int64(p.Rides[i].Line), content(&p.Rides[i]), p.Rides[i].Raw)
		}
		for _, r := range p.Rejects {
			for line := r.Line; line <= max(r.Line, r.Last); line++ {
				judge(line, "none", r.Record)
			}
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
	rejects := map[modelReject]bool{}
	if err := r.Rejects(t.Context(), "", func(x Reject) error {
		for line := x.Line; line <= x.Last; line++ {
			k := modelReject{modelKey{x.Source, line}, string(x.Record)}
			if _, twice := rejects[k]; twice {
				t.Errorf("the reject %v is stored twice", k)
			}
			rejects[k] = x.Reason == reasonDiffers
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(rejects, m.rejects) {
		t.Errorf("rejects %v, want %v", rejects, m.rejects)
	}
	// Rides are never removed. Rejects are, when a corrected row resolves them.
	n, err := r.Inserted(t.Context())
	if err != nil || n.Rides != int64(len(m.rides)) || n.Rejects < int64(len(m.rejects)) {
		t.Errorf("inserted %+v (%v), want %d rides and at least %d rejects", n, err, len(m.rides), len(m.rejects))
	}
	m.checkTotals(t, r, n)
}

// checkTotals compares what a page is told of the rides.
func (m *model) checkTotals(t *testing.T, r *Reader, n mta.Inserted) {
	t.Helper()
	totals, err := r.Totals(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, riders, riders2 := int64(0), int64(0), int64(0)
	for _, s := range totals.Stations {
		rows, riders = rows+s.Rows, riders+s.Riders
	}
	for _, h := range totals.Hours {
		riders2 += h
	}
	if totals.Inserted != n || rows != int64(len(m.rides)) || riders != riders2 {
		t.Errorf("totals of %+v: %d rows, want those of %+v: %d rows; riders by station %d, by hour %d", totals.Inserted, rows, n, len(m.rides), riders, riders2)
	}
}

// ridesOf reads all rides by the view, as a person would.
func ridesOf(t *testing.T, r *Reader) map[modelKey]string {
	t.Helper()
	rows, err := r.db.QueryContext(t.Context(), `SELECT source, line, unixepoch(transit_timestamp), station_complex, payment_method,
		ridership, transfers IS NOT NULL, ifnull(transfers, 0) FROM ridership`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rides := map[modelKey]string{}
	for rows.Next() {
		var k modelKey
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

var modelSeeds = flag.Uint64("model-seeds", 15, "how many random histories are compared with the model")

// A history makes batches, and remembers them to repeat them.
type history struct {
	*rand.Rand
	past []mta.Part
	tail map[string]uint32 // lines that follow on, by source
}

var sources = []string{"a.csv", "b.csv", "c.csv", "d.csv"}

// batch has parts of every kind: what follows on, what lies anywhere, single
// rows all over the file, and what has come before.
func (h *history) batch() *mta.Batch {
	b := &mta.Batch{Dims: testDims}
	for range 1 + h.IntN(4) {
		source := sources[h.IntN(len(sources))]
		switch h.IntN(6) {
		case 0, 1:
			b.Parts = append(b.Parts, h.part(source, h.tail[source]+2, 300))
		case 2, 3:
			b.Parts = append(b.Parts, h.part(source, 2+h.Uint32N(400), 200))
		case 4:
			for range h.IntN(40) {
				b.Parts = append(b.Parts, h.part(source, 2+h.Uint32N(500), 2))
			}
		case 5:
			if n := len(h.past); n > 0 {
				from := h.IntN(n)
				b.Parts = append(b.Parts, h.past[from:min(n, from+1+h.IntN(5))]...)
			}
		}
	}
	h.past = append(h.past, b.Parts...)
	return b
}

// part has a run of lines from one on, seldom with a gap or a reject.
func (h *history) part(source string, line uint32, most int) mta.Part {
	p := mta.Part{Source: source, Columns: "x"}
	for range h.IntN(most) {
		if line++; h.IntN(100) == 0 {
			line += h.Uint32N(3)
		}
		if h.IntN(60) == 0 {
			x := mta.Reject{Line: int64(line), Reason: "bad", Record: fmt.Appendf(nil, "bad %d", h.IntN(2))}
			if h.IntN(3) == 0 { // a run
				line += h.Uint32N(20)
				x.Last = int64(line)
			}
			p.Rejects = append(p.Rejects, x)
			continue
		}
		p.Rides = append(p.Rides, h.ride(line))
	}
	h.tail[source] = max(h.tail[source], line)
	return p
}

// ride is the ride of a line, or seldom another version of it.
func (h *history) ride(line uint32) mta.Ride {
	r := mta.Ride{Line: line, At: int64(line) * 3600, Station: line % 3, Fare: line / 3 % 3, Ridership: int64(line), HasTransfers: line%5 != 0}
	if h.IntN(200) == 0 {
		switch h.IntN(5) {
		case 0:
			r.Ridership++
		case 1:
			r.Station = (r.Station + 1) % 3
		case 2:
			r.Fare = (r.Fare + 1) % 3
		case 3:
			r.HasTransfers = !r.HasTransfers
		case 4:
			r.At++
		}
	}
	r.Raw = []byte(content(&r))
	return r
}

// joinRuns makes runs of equal rejects, as the parser does.
func joinRuns(rejects []mta.Reject) (joined []mta.Reject) {
	for _, r := range rejects {
		if n := len(joined); n > 0 && bytes.Equal(joined[n-1].Record, r.Record) && joined[n-1].Line+joined[n-1].Lines() == r.Line {
			joined[n-1].Last = r.Line
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

func TestAgainstModel(t *testing.T) {
	for seed := range *modelSeeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			h := &history{Rand: rand.New(rand.NewPCG(seed, 1)), tail: map[string]uint32{}}
			path := filepath.Join(t.TempDir(), "rides.db")
			d, m := open(t, path), newModel()
			if seed%3 == 0 {
				refuseSome(t, path, m)
			}
			for n := range 14 {
				b := h.batch()
				h.disturb(t, d, path, b)
				got, err := d.Write(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				if want := m.write(b); !slices.Equal(got, want) {
					t.Fatalf("batch %d: outcomes %v, want %v", n, got, want)
				}
			}
			m.check(t, path)
			h.verify(t, path, m)
		})
	}
}

// disturb does at times what must not matter: a transaction fails, another
// connection takes the ids that would have come next.
func (h *history) disturb(t *testing.T, d *DB, path string, b *mta.Batch) {
	t.Helper()
	switch h.IntN(6) {
	case 0:
		failOnce(t, d, b)
	case 1:
		execute(t, path, fmt.Sprintf("INSERT INTO station (station_complex_id) VALUES ('other %d')", h.Uint64()))
	case 2:
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Write(ctx, b); err == nil {
			t.Fatal("written although cancelled")
		}
	}
}

// refuseSome has the database refuse every 97th line, as one of its user's
// triggers may.
func refuseSome(t *testing.T, path string, m *model) {
	t.Helper()
	execute(t, path, `CREATE TRIGGER refuse BEFORE INSERT ON ride WHEN new.transit_at / 3600 % 97 = 0 AND
		NOT EXISTS (SELECT 1 FROM ride WHERE id = new.id) BEGIN SELECT RAISE(ABORT, 'no'); END`)
	m.refuses = func(r mta.Ride) bool { return r.At/3600%97 == 0 }
}

func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", DataSource(path, "", time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// verify compares verdicts over files much like what is stored.
func (h *history) verify(t *testing.T, path string, m *model) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, source := range append(sources, "absent.csv") {
		file := h.file(source, m)
		var batches []*mta.Batch
		for _, p := range file {
			batches = append(batches, &mta.Batch{Parts: []mta.Part{p}, Dims: testDims})
		}
		got, err := r.Verify(t.Context(), source, 0, each(batches))
		if err != nil {
			t.Fatal(err)
		}
		differences := got.Differences
		got.Differences = nil
		if want := m.judge(source, file); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: verdict %+v, want %+v", source, got, want)
		}
		if want := min(10, got.Missing+got.Differs+got.Extra); int64(len(differences)) != want {
			t.Errorf("%s: %d differences are named, want %d", source, len(differences), want)
		}
	}
}

// file makes a file of the lines of a source: most as they are stored.
func (h *history) file(source string, m *model) (parts []mta.Part) {
	rejects := map[int64][]byte{}
	for x := range m.rejects {
		if x.source == source {
			rejects[x.line] = []byte(x.record)
		}
	}
	for line := uint32(1); line < h.tail[source]+20; {
		p := mta.Part{Source: source}
		for range 1 + h.IntN(100) {
			record, rejected := rejects[int64(line)]
			_, stored := m.rides[modelKey{source, int64(line)}]
			switch dice := h.IntN(50); {
			case dice == 0: // not in the file
			case dice == 1:
				p.Rejects = append(p.Rejects, mta.Reject{Line: int64(line), Record: []byte("never seen")})
			case rejected && dice < 25 || !stored && dice < 40:
				p.Rejects = append(p.Rejects, mta.Reject{Line: int64(line), Record: record})
			default:
				p.Rides = append(p.Rides, h.ride(line))
			}
			line++
		}
		p.Rejects = joinRuns(p.Rejects)
		parts = append(parts, p)
	}
	return parts
}
