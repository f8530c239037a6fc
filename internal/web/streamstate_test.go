package web

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

var update = flag.Bool("update-stream", false, "write testdata/stream.json")

var streamStart = time.UnixMilli(1_700_000_000_000)

// A played is a state whose clock the test moves.
type played struct {
	*StreamState
	t        *testing.T
	now      time.Time
	inserted mta.Inserted
	acked    stream.AckSummary
}

func play(t *testing.T) *played {
	t.Helper()
	s, err := NewStreamState("var/turnstile.db", streamStart)
	if err != nil {
		t.Fatal(err)
	}
	p := &played{StreamState: s, t: t, now: streamStart}
	p.acked = stream.AckSummary{Version: 1, Producer: "host/3", Started: streamStart.UnixMilli(), Acked: stream.Acked{Source: "a.csv", Read: 1, Line: 1}}
	p.Queue(stream.QueueState{MaxBytes: 1 << 30}, nil, p.now)
	p.count()
	p.sums(Sums{})
	p.Writer(true, "host/1", p.now)
	return p
}

func (p *played) pass(d time.Duration) { p.now = p.now.Add(d) }

// count has the database counted.
func (p *played) count() { p.Database(p.inserted, 4096, nil, p.now) }

// wants reports whether the page wants all rides to be summed up.
func (p *played) wants() bool {
	upTo, ok := p.WantsSums(p.now)
	return ok && upTo == nil
}

// sums has the rides summed up, which the page must want.
func (p *played) sums(s Sums) {
	p.t.Helper()
	if !p.wants() {
		p.t.Error("the page does not want the sums")
	}
	if s.Hours == nil {
		s.Hours = map[int64]int64{}
	}
	p.Sums(s, nil, p.now)
}

// ack has the producer announce n more rows.
func (p *played) ack(n int64) {
	p.acked.Rows += n
	p.acked.Messages += n
	p.acked.Bytes += 100 * n
	p.acked.Read += n
	p.acked.Line += n
	p.Acks(p.acked, p.now)
}

// commit has the writer commit n rows of a station, of 3 riders each.
func (p *played) commit(writer, station string, n int64) {
	from := p.inserted
	p.inserted.Rides += n
	p.Commits(summaryOf(writer, station, from, p.inserted), p.now)
}

func summaryOf(writer, station string, from, to mta.Inserted) stream.CommitSummary {
	n := to.Rides - from.Rides
	return stream.CommitSummary{
		Version: 1, Writer: writer, From: from, To: to, Transactions: 1, Busy: 0.001, Outcome: mta.Outcome{Stored: int(n)},
		Stations: stream.StationCounts{IDs: []string{station}, Rows: []int64{n}, Riders: []int64{3 * n}},
		Hours:    stream.HourCounts{Hours: []int64{456_576}, Riders: []int64{3 * n}},
		Latest:   []stream.RowSummary{{Source: "a.csv", Line: to.Rides + 1, Hour: 456_576, Station: station, Riders: 3}},
		Lines:    []stream.LineRange{{Source: "a.csv", First: from.Rides + 2, Last: to.Rides + 1}},
	}
}

func (p *played) proof() Proof { return p.Whole(p.now).Tick.Proof }

// station returns the riders of a station in the whole state.
func (p *played) station(id string) MapStation {
	p.t.Helper()
	p.Tick(p.now)
	for _, s := range p.Whole(p.now).Stations {
		if s.ID == id {
			return s
		}
	}
	return MapStation{}
}

// streamMessages are the messages of a short life of the stream: rows flow, the writer
// is killed, a standby takes over, and a station has a hostile name.
func streamMessages(t *testing.T) []any {
	t.Helper()
	messages, _ := playAll(t)
	return messages
}

// playMessages returns the state behind the last of streamMessages.
func playMessages(t *testing.T) *StreamState {
	t.Helper()
	_, state := playAll(t)
	return state
}

func playAll(t *testing.T) ([]any, *StreamState) {
	t.Helper()
	p := play(t)
	p.base = p.base[:6]
	messages := []any{p.Whole(p.now)}
	tick := func() {
		p.pass(100 * time.Millisecond)
		p.count()
		m, restart := p.Tick(p.now)
		switch {
		case restart:
			messages = append(messages, p.Whole(p.now))
		case m != nil:
			messages = append(messages, m)
		}
	}
	tick()
	p.Standby("host/2", p.now)
	p.ack(10)
	p.commit("host/1", "611", 8) // Times Square
	tick()
	p.ack(5)
	p.commit("host/1", "hostile", 5)
	if unknown := p.UnknownStations(); len(unknown) != 1 || unknown[0] != "hostile" {
		t.Errorf("unknown stations %q", unknown)
	}
	p.Places([]MapStation{{ID: "hostile", Name: hostileName, Borough: "Queens"}})
	p.inserted.Rejects = 2
	p.Rejects([]RejectTick{{Source: "a.csv", Line: 9, Column: "ridership", Reason: `ridership is "<b>many</b>", want a whole number`}})
	tick()
	p.Writer(false, "", p.now)
	p.ack(20)
	p.Queue(stream.QueueState{Messages: 20, Bytes: 4000, MaxBytes: 1 << 30, Oldest: 1500 * time.Millisecond}, nil, p.now)
	p.pass(1400 * time.Millisecond)
	tick()
	p.Writer(true, "host/2", p.now)
	p.commit("host/2", "611", 20)
	p.Queue(stream.QueueState{MaxBytes: 1 << 30}, nil, p.now)
	tick()
	return messages, p.StreamState
}

const hostileName = `<script>alert(1)</script><img src=x onerror=alert(2)> "&amp;' Av`

// The messages are as the fixture has them: the page, and whoever reads saved messages,
// depends on their form.
func TestStreamFixture(t *testing.T) {
	got, err := json.MarshalIndent(streamMessages(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "stream.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the messages differ from %s; if they should, raise StreamVersion and run this test with -update-stream\n%s", file, firstDifference(string(got), string(want)))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %s, want %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// The two counts add up at every moment, and what is in flight is what is acknowledged
// and not stored.
func TestProof(t *testing.T) {
	p := play(t)
	check := func(what string, want Proof) {
		t.Helper()
		got := p.proof()
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if got.Acked+got.Unannounced != got.Rides+got.Rejects+got.Already+got.InFlight {
			t.Errorf("%s: %+v does not add up", what, got)
		}
	}
	check("nothing has happened", Proof{})
	p.ack(10)
	check("acknowledged", Proof{Acked: 10, InFlight: 10})
	p.commit("host/1", "611", 7)
	p.count()
	check("some are stored", Proof{Acked: 10, Rides: 7, InFlight: 3})
	p.commit("host/1", "611", 2)
	p.inserted.Rejects++
	p.count()
	check("one is rejected", Proof{Acked: 10, Rides: 9, Rejects: 1})

	// The database may be read before the producer's summary has come.
	p.commit("host/1", "611", 4)
	p.pass(time.Second)
	p.count()
	check("ahead of the producer", Proof{Acked: 10, Rides: 9, Rejects: 1})
	p.ack(4)
	check("the producer follows", Proof{Acked: 14, Rides: 13, Rejects: 1})

	// The same rows again.
	p.ack(14)
	check("resent", Proof{Acked: 28, Rides: 13, Rejects: 1, InFlight: 14})
	again := summaryOf("host/1", "611", p.inserted, p.inserted)
	again.Outcome = mta.Outcome{AlreadyThere: 13, Rejected: 1}
	p.Commits(again, p.now)
	check("were there already", Proof{Acked: 28, Rides: 13, Rejects: 1, Already: 14})

	// After a kill, rows that were committed and not acknowledged are redelivered. They
	// are no other rows.
	p = play(t)
	p.ack(10)
	p.commit("host/1", "611", 10)
	p.count()
	again = summaryOf("host/2", "611", p.inserted, p.inserted)
	again.Outcome = mta.Outcome{AlreadyThere: 3}
	p.Commits(again, p.now)
	p.pass(settle)
	p.count()
	check("redelivered", Proof{Acked: 10, Rides: 10})
}

// Rows that no producer has announced are told apart, and rows that are in neither
// count's reach are missing.
func TestProofOfOtherRows(t *testing.T) {
	p := play(t)
	check := func(what string, want Proof) {
		t.Helper()
		if got := p.proof(); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	p.inserted.Rides = 100
	p.count()
	p.pass(settle)
	p.count()
	check("loaded", Proof{Unannounced: 100, Rides: 100})
	p.ack(1)
	p.commit("host/1", "611", 1)
	p.count()
	check("and on", Proof{Acked: 1, Unannounced: 100, Rides: 101})

	// A row that is acknowledged, and in neither queue nor database.
	p.ack(1)
	p.pass(missingAfter)
	p.count()
	p.pass(time.Millisecond)
	check("missing", Proof{Acked: 2, Unannounced: 100, Rides: 101, InFlight: 1, Missing: true})
	p.Queue(stream.QueueState{Messages: 1, Bytes: 100}, nil, p.now)
	check("in the queue", Proof{Acked: 2, Unannounced: 100, Rides: 101, InFlight: 1})

	// A producer that was stopped announces its rows late.
	p = play(t)
	p.ack(10)
	p.commit("host/1", "611", 17)
	p.count()
	p.pass(settle + time.Millisecond)
	p.count()
	check("the producer is silent", Proof{Acked: 10, Unannounced: 7, Rides: 17})
	p.ack(7)
	check("and speaks again", Proof{Acked: 17, Rides: 17})

	// Another database is at the path: both counts begin again.
	p.inserted = mta.Inserted{Rides: 5}
	p.count()
	check("another database", Proof{})
}

// Rows that a producer had acknowledged before the page opened do not count. Those of a
// producer that starts later all do, even if the page hears only of its end.
func TestProducersBeforeAndAfter(t *testing.T) {
	p := play(t)
	before := stream.AckSummary{Producer: "host/9", Started: streamStart.UnixMilli() - 1, Acked: stream.Acked{Rows: 1000, Source: "b.csv", Read: 1001, Line: 1001}}
	p.Acks(before, p.now)
	before.Rows = 1005
	p.Acks(before, p.now)
	if got := p.proof().Acked; got != 5 {
		t.Errorf("%d rows are acknowledged since the page opened, want 5", got)
	}
	p.Acks(stream.AckSummary{Producer: "host/10", Started: p.now.UnixMilli(), Acked: stream.Acked{Rows: 2000, Source: "c.csv", Read: 2001, Line: 2001}, Ended: true}, p.now)
	if got := p.proof().Acked; got != 2005 {
		t.Errorf("%d rows are acknowledged, want 2005", got)
	}
	if got := len(p.Whole(p.now).Tick.Producers); got != 2 {
		t.Errorf("%d producers are shown, want 2", got)
	}
	p.pass(gone)
	if got := p.Whole(p.now).Tick.Producers; len(got) != 1 || got[0].Name != "host/10" || !got[0].Ended {
		t.Errorf("producers %+v, want the one that has ended; the other is not heard any more", got)
	}
}

// A takeover is marked once, whether the lock or a summary tells of it first.
func TestTakeoverIsMarked(t *testing.T) {
	marks := func(p *played) (list []string) {
		for _, m := range p.Whole(p.now).Tick.Marks {
			list = append(list, m.Kind+": "+m.Text)
		}
		return list
	}
	slow := play(t)
	slow.pass(time.Second)
	slow.Writer(false, "host/1", slow.now)
	slow.pass(1300 * time.Millisecond)
	slow.Writer(true, "host/2", slow.now)
	slow.commit("host/2", "611", 1)
	if got, want := marks(slow), []string{"down: host/1 is gone: no writer", "takeover: host/2 took over after 1.3 s"}; !slices.Equal(got, want) {
		t.Errorf("marks %q, want %q", got, want)
	}
	fast := play(t)
	fast.commit("host/2", "611", 1)
	fast.Writer(true, "host/2", fast.now)
	if got, want := marks(fast), []string{"takeover: host/2 took over"}; !slices.Equal(got, want) {
		t.Errorf("marks %q, want %q", got, want)
	}
}

// The sums of the map are those of the database, whatever summaries are lost with a
// writer.
func TestSumsFollowTheDatabase(t *testing.T) {
	p := play(t)
	p.commit("host/1", "611", 5)
	if s := p.station("611"); s.Rows != 5 || s.Riders != 15 || s.Name == "" || s.Lat == nil {
		t.Errorf("%+v, want 5 rows of Times Square", s)
	}
	p.pass(2 * time.Second)
	p.inserted.Rides += 10 // the writer is killed before it announces them
	p.count()
	p.pass(500 * time.Millisecond)
	p.count()
	if p.wants() {
		t.Error("sums are wanted although the summary may be on its way")
	}
	p.pass(600 * time.Millisecond)
	p.count()
	if !p.wants() {
		t.Fatal("sums are not wanted")
	}
	// The snapshot has 15 rows. A commit after it is announced while it is read.
	p.commit("host/2", "611", 2)
	p.count() // to read many rides takes longer than a summary may
	p.pass(2 * time.Second)
	p.count()
	p.Sums(Sums{Rides: 15, Stations: []MapStation{{ID: "611", Rows: 15, Riders: 45}}, Hours: map[int64]int64{456_576: 45}}, nil, p.now)
	if s := p.station("611"); s.Rows != 17 || s.Riders != 51 {
		t.Errorf("%+v, want 17 rows and 51 riders", s)
	}
	if p.pass(time.Hour); p.wants() {
		t.Error("sums are wanted although they are exact")
	}
	// A summary that misses rows makes them inexact, until the flow pauses.
	from := p.inserted
	p.inserted.Rides += 7
	c := summaryOf("host/2", "611", from, p.inserted)
	c.Stations.Rows[0] = 6
	p.Commits(c, p.now)
	if p.pass(500 * time.Millisecond); p.wants() {
		t.Error("sums are wanted while rows flow")
	}
	if p.pass(600 * time.Millisecond); !p.wants() {
		t.Error("sums are not wanted after a pause")
	}
	p.Sums(Sums{}, errors.New("busy"), p.now)
	if !p.wants() {
		t.Error("sums are not wanted after an error")
	}
}

// While rows flow, the rides up to the newest summary are summed up, and what follows
// it is added.
func TestSumsWhileRowsFlow(t *testing.T) {
	p := play(t)
	p.commit("host/1", "611", 5) // lines 2 to 6
	p.pass(100 * time.Millisecond)
	p.inserted.Rides += 3 // lines 7 to 9 are lost with the writer
	p.commit("host/2", "611", 2)
	for range 60 {
		p.pass(100 * time.Millisecond)
		p.commit("host/2", "611", 1)
	}
	upTo, ok := p.WantsSums(p.now)
	if want := map[string]int64{"a.csv": 71}; !ok || !maps.Equal(upTo, want) {
		t.Fatalf("sums are wanted: %v, up to %v, want %v", ok, upTo, want)
	}
	p.commit("host/2", "611", 4) // the snapshot falls between these rows
	read := func(rows int64) {
		p.Sums(Sums{Rides: 72, Stations: []MapStation{{ID: "611", Rows: rows, Riders: 3 * rows}}, Hours: map[int64]int64{}}, nil, p.now)
	}
	read(70)
	if s := p.station("611"); s.Rows != 74 || s.Riders != 3*74 {
		t.Errorf("%+v, want 74 rows", s)
	}
	if p.pass(time.Hour); p.wants() {
		t.Error("sums are wanted although they are exact")
	}
	// A row out of order is noticed by the number of rows.
	p.wanted = true
	p.commit("host/2", "611", 1)
	if upTo, ok := p.WantsSums(p.now); !ok || upTo["a.csv"] != 76 {
		t.Fatalf("sums are wanted: %v, up to %v", ok, upTo)
	}
	read(76)
	if p.pass(1100 * time.Millisecond); !p.wants() {
		t.Error("sums with a row too many count as exact")
	}
}

// A page that is opened while rows flow waits for the first summary.
func TestSumsAtTheOpening(t *testing.T) {
	open := func() *played {
		s, err := NewStreamState("var/turnstile.db", streamStart)
		if err != nil {
			t.Fatal(err)
		}
		p := &played{StreamState: s, t: t, now: streamStart, inserted: mta.Inserted{Rides: 1000}}
		p.Writer(true, "host/1", p.now)
		p.count()
		if p.wants() {
			t.Error("sums are wanted before a writer could say whether rows flow")
		}
		return p
	}
	p := open()
	p.commit("host/1", "611", 5)
	if upTo, ok := p.WantsSums(p.now); !ok || upTo["a.csv"] != 1006 {
		t.Errorf("sums are wanted: %v, up to %v", ok, upTo)
	}
	p = open()
	if p.pass(viewerHeard); !p.wants() {
		t.Error("sums are not wanted although no rows flow")
	}
}

// A page that applies all ticks to the state before them has the state after them.
func TestTicksAddUp(t *testing.T) {
	p := play(t)
	p.Tick(p.now)
	first := p.Whole(p.now)
	riders := map[string]int64{}
	for _, s := range first.Stations {
		riders[s.ID] = s.Riders
	}
	for i := range 50 {
		p.pass(100 * time.Millisecond)
		p.commit("host/1", []string{"611", "610", "new"}[i%3], int64(i%4+1))
		m, restart := p.Tick(p.now)
		if m == nil || restart {
			t.Fatalf("tick %d: %v, restart %v", i, m, restart)
		}
		for j, id := range m.Commits.IDs {
			riders[id] += m.Commits.Riders[j]
		}
	}
	for _, s := range p.Whole(p.now).Stations {
		if s.Riders != riders[s.ID] {
			t.Errorf("station %s: %d riders, want %d", s.ID, riders[s.ID], s.Riders)
		}
	}
	if m, _ := p.Tick(p.now.Add(10 * time.Millisecond)); m != nil {
		t.Errorf("nothing has happened, and the tick is %+v", m)
	}
	if m, _ := p.Tick(p.now.Add(time.Second)); m == nil {
		t.Error("no tick for a second: ages do not grow")
	}
}

// A hostile stream can't make the page grow without bound.
func TestStateIsBounded(t *testing.T) {
	p := play(t)
	for i := range 3 * maxMapStations {
		id := fmt.Sprintf("%0300d", i) // no summary has a longer name
		from := p.inserted
		p.inserted.Rides++
		c := summaryOf("host/1", id, from, p.inserted)
		c.Lines[0].Source, c.Latest[0].Source = id, id
		p.Commits(c, p.now)
		p.Standby(id, p.now)
		p.Acks(stream.AckSummary{Producer: id, Acked: stream.Acked{Source: id}}, p.now)
		p.Writer(i%2 == 0, id, p.now)
		if i%100 == 0 {
			p.Tick(p.now)
		}
	}
	p.Tick(p.now)
	w := p.Whole(p.now)
	if len(w.Stations) > maxMapStations || len(p.lines) > maxLineSources || len(w.Tick.Standbys) > maxMarks || len(w.Tick.Producers) > maxProducers || len(w.Tick.Marks) > maxMarks || len(w.Tick.Latest) > maxLatest {
		t.Errorf("%d stations, %d sources, %d standbys, %d marks", len(w.Stations), len(p.lines), len(w.Tick.Standbys), len(w.Tick.Marks))
	}
	if w.Tick.Unplaced != 2*maxMapStations {
		t.Errorf("%d rows are not on the map, want %d", w.Tick.Unplaced, 2*maxMapStations)
	}
	p.Sums(Sums{Stations: []MapStation{{ID: strings.Repeat("x", 1<<16), Rows: 5}}, Hours: map[int64]int64{}}, nil, p.now)
	if w = p.Whole(p.now); len(w.Stations) > 0 || w.Tick.Unplaced != 5 {
		t.Errorf("%d stations are on the map, and %d rows are not; want no station with an id of 64 KiB", len(w.Stations), w.Tick.Unplaced)
	}
}

// Ticks that do not fit the hub are dropped for one message that stands for all.
func TestTicksFillTheHub(t *testing.T) {
	p, err := NewStreamPage(Options{Addr: "127.0.0.1:0"}, "var/turnstile.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.listener.Close()
	p.hub.limit = 200 << 10
	for i := range wholeEvery - 1 {
		now := streamStart.Add(time.Duration(i) * time.Second)
		p.Acks(stream.AckSummary{Producer: fmt.Sprintf("%0300d", i), Acked: stream.Acked{Rows: 1}}, now)
		if err := p.Tick(now); err != nil {
			t.Fatalf("tick %d: %v", i, err)
		}
	}
}

// The way of one line is told by when others have passed it.
func TestFollow(t *testing.T) {
	p := play(t)
	p.ack(10) // lines 2 to 11
	queued := p.now
	p.pass(time.Second)
	p.commit("host/1", "611", 5) // lines 2 to 6
	for _, c := range []struct{ line, queued, stored int64 }{
		{6, queued.UnixMilli(), p.now.UnixMilli()}, {7, queued.UnixMilli(), 0}, {12, 0, 0},
	} {
		if got := p.Follow("a.csv", c.line, p.now); got.Queued != c.queued || got.Read != c.queued || got.Stored != c.stored {
			t.Errorf("line %d: read %d, queued %d, stored %d; want %d and %d", c.line, got.Read, got.Queued, got.Stored, c.queued, c.stored)
		}
	}
	p.commit("host/1", "611", 6) // lines 7 to 12; the producer announces line 12 later
	stored := p.now.UnixMilli()
	p.pass(100 * time.Millisecond)
	p.ack(1)
	if got := p.Follow("a.csv", 12, p.now); got.Read != stored || got.Queued != stored || got.Stored != stored {
		t.Errorf("line 12: read %d, queued %d, stored %d; want %d", got.Read, got.Queued, got.Stored, stored)
	}
	for range 3 * maxLineTimes {
		p.pass(100 * time.Millisecond)
		p.ack(1)
	}
	if n := len(p.lines["a.csv"][lineQueued]); n > maxLineTimes {
		t.Errorf("%d times are kept", n)
	}
	if got := p.Follow("a.csv", p.acked.Line, p.now); got.Queued != p.now.UnixMilli() {
		t.Errorf("the newest line was queued at %d, want %d", got.Queued, p.now.UnixMilli())
	}
	if got := p.Follow("a.csv", 6, p.now); got.Queued != 0 {
		t.Errorf("a line of which the time is forgotten was queued at %d", got.Queued)
	}
}

// The base map is complete: New York has 428 station complexes in five boroughs.
func TestBaseStations(t *testing.T) {
	stations, err := baseStations()
	if err != nil {
		t.Fatal(err)
	}
	boroughs, ids := map[string]int{}, map[string]bool{}
	for _, s := range stations {
		boroughs[s.Borough]++
		ids[s.ID] = true
		if *s.Lat < 40.5 || *s.Lat > 41 || *s.Lon < -74.3 || *s.Lon > -73.7 || s.Name == "" {
			t.Errorf("%s is at %v, %v", s.Name, *s.Lat, *s.Lon)
		}
	}
	if len(ids) != 428 || len(boroughs) != 5 {
		t.Errorf("%d stations, %v", len(ids), boroughs)
	}
}
