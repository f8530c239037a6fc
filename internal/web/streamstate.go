package web

// The state of the page that shows the stream: what the producers, the writer, the
// broker and the database say, put together. It has no clock and no connection.

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

const (
	// maxMapStations bounds what a hostile stream can make the page hold.
	maxMapStations = 2000
	maxStationID   = 300 // bytes
	maxProducers   = 1000
	maxLatest      = 8
	maxMarks       = 20
	maxHours       = 500_000
	hoursShown     = 24
	maxBuffered    = 200
	maxCut         = 1000 // sources

	// settle is how long a producer may take to announce acknowledged rows: it hears of
	// the viewer within a second of its start.
	settle = 1500 * time.Millisecond
	// missingAfter is how long the queue must be empty, with rows in flight, before
	// they count as missing.
	missingAfter = 3 * time.Second
	// viewerHeard is how long a writer may take to say whether rows flow.
	viewerHeard = 1200 * time.Millisecond
	// inexactFor is how long the sums of the map may be inexact while rows flow.
	inexactFor  = 5 * time.Second
	rateWindow  = 2 * time.Second
	silentAfter = 3 * time.Second
	gone        = 4 * time.Second // a process that is not heard for so long is not listed
	endedShown  = time.Minute     // a producer that has ended
)

// A StreamState is the state of the page. Its methods are safe for concurrent use.
type StreamState struct {
	mu       sync.Mutex
	database string
	opened   time.Time
	base     []MapStation
	places   map[string]MapStation // of base, by id

	// The sums of the map. They belong to synced rides of the database.
	stations  map[string]*MapStation
	unplaced  int64
	hours     map[int64]int64
	synced    int64
	inexact   time.Time              // since when the sums may miss rows, or have some twice; zero: they are exact
	wanted    bool                   // they must be read at once
	reading   bool                   // they are being read
	buffered  []stream.CommitSummary // meanwhile
	behind    time.Time              // since when the database has more rows than the sums
	flowed    time.Time              // when rows were last committed
	announced int64                  // the rides after the newest commits
	cut       map[string]int64       // by source: the last line of all summaries
	boundary  int64                  // the rides up to the cut that is being read; -1 without a cut
	uncounted int64                  // rides of a database from before it counted them; -1: not known

	// What the next tick adds.
	commits  map[string]*MapStation
	newcomer []string // stations that the page does not know yet
	dirty    bool
	restart  bool // the page must be sent the whole state
	ticked   time.Time

	producers map[string]*producerState
	acked     int64
	already   int64
	ackRate   rateOf
	heard     time.Time // the writer's last summary
	commit    rateOf
	busy      rateOf
	standbys  map[string]time.Time
	latest    []LatestRow
	lines     lineTimes

	queue      QueueTick
	queueEmpty time.Time // since when
	writer     WriterTick
	down       time.Time // since when no process writes
	marks      []Mark

	counts      []countSample // of the database, oldest first
	first       *mta.Inserted // when the page opened
	unannounced int64
	db          DatabaseTick
	rejects     []RejectTick
}

type producerState struct {
	ProducerTick
	heard time.Time
}

type countSample struct {
	at time.Time
	n  mta.Inserted
}

// NewStreamState returns the state of a page that is opened now.
func NewStreamState(database string, now time.Time) (*StreamState, error) {
	base, err := baseStations()
	if err != nil {
		return nil, err
	}
	s := &StreamState{
		database: database, opened: now, base: base, places: map[string]MapStation{}, wanted: true,
		stations: map[string]*MapStation{}, hours: map[int64]int64{}, commits: map[string]*MapStation{},
		producers: map[string]*producerState{}, standbys: map[string]time.Time{}, lines: lineTimes{}, cut: map[string]int64{}, uncounted: -1,
	}
	for _, b := range base {
		s.places[b.ID] = b
	}
	return s, nil
}

// Acks takes what a producer says of itself.
func (s *StreamState) Acks(a stream.AckSummary, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known := s.producers[a.Producer]
	if !known && len(s.producers) >= maxProducers || a.Rows < 0 {
		return
	}
	before, since := int64(0), time.UnixMilli(a.Started)
	switch {
	case known && p.Rows <= a.Rows:
		before, since = p.Rows, p.heard
	case !known && a.Started < s.opened.UnixMilli():
		before = a.Rows // acknowledged before the page opened
	}
	s.acked += a.Rows - before
	if now.Sub(since) > settle { // meanwhile they counted as unannounced
		s.unannounced = max(0, s.unannounced-(a.Rows-before))
	}
	s.ackRate.add(now, float64(s.acked))
	s.producers[a.Producer] = &producerState{ProducerTick{a.Producer, a.Source, a.Read, a.Line, a.Rows, a.Ended}, now}
	if a.Source != "" {
		s.lines.note(a.Source, lineRead, 1, a.Read, now, known || before == 0)
		s.lines.note(a.Source, lineQueued, 1, a.Line, now, known || before == 0)
	}
	s.dirty = true
}

// Standby takes the sign of life of a process that waits to become the writer.
func (s *StreamState) Standby(name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.standbys[name]; !ok {
		s.dirty = true
	}
	if len(s.standbys) < maxMarks {
		s.standbys[name] = now
	}
}

// Commits takes what the writer has committed.
func (s *StreamState) Commits(c stream.CommitSummary, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = now
	s.nameWriter(c.Writer, now)
	delete(s.standbys, c.Writer)
	if c.Transactions == 0 {
		return
	}
	s.dirty, s.flowed, s.announced = true, now, c.To.Rides
	s.commit.add(now, s.commit.last+float64(c.Transactions))
	s.busy.add(now, s.busy.last+c.Busy)
	s.already += int64(c.Outcome.AlreadyThere) + max(0, int64(c.Outcome.Rejected)-(c.To.Rejects-c.From.Rejects))
	for _, r := range c.Latest {
		s.latest = append(s.latest, LatestRow(r))
	}
	s.latest = s.latest[max(0, len(s.latest)-maxLatest):]
	for _, l := range c.Lines {
		s.lines.note(l.Source, lineStored, l.First, l.Last, now, true)
		if len(s.cut) < maxCut {
			s.cut[l.Source] = max(s.cut[l.Source], l.Last)
		}
	}
	if s.reading {
		if s.buffered = append(s.buffered, c); len(s.buffered) > maxBuffered {
			s.buffered, s.inexact = nil, now
		}
		return
	}
	s.sum(c, now)
}

// Queue takes what the broker says of the queue, or that it does not answer.
func (s *StreamState) Queue(q stream.QueueState, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.queue
	s.queue = QueueTick{Broker: err == nil, Messages: q.Messages, Bytes: q.Bytes, MaxBytes: q.MaxBytes, Oldest: q.Oldest.Seconds()}
	if err != nil || q.Messages > 0 {
		s.queueEmpty = time.Time{}
	} else if s.queueEmpty.IsZero() {
		s.queueEmpty = now
	}
	s.dirty = s.dirty || before != s.queue
}

// Writer takes whether a process holds the writer's lock, and its name, if the lock
// file says it.
func (s *StreamState) Writer(alive bool, name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, before := s.writer.Alive, s.writer.Name
	if name == "" || !alive {
		name = before
	}
	switch {
	case was && !alive:
		s.down = now
		s.mark(now, "down", before+" is gone: no writer")
	case alive && !was && before != "" && name == before:
		s.mark(now, "up", name+" writes again")
	case alive:
		s.nameWriter(name, now)
	}
	if alive != was || s.writer.Since == 0 {
		s.writer.Since = now.UnixMilli()
	}
	if alive {
		s.down = time.Time{}
	}
	if alive && (!was || name != before) {
		s.heard = now // it has had no time to say anything
	}
	s.writer.Alive = alive
	s.dirty = s.dirty || was != alive || before != name
}

// nameWriter notes who writes. A takeover may be faster than the looks at the lock.
func (s *StreamState) nameWriter(name string, now time.Time) {
	if before := s.writer.Name; before != "" && name != before {
		text := name + " took over"
		if !s.down.IsZero() {
			text += fmt.Sprintf(" after %.1f s", now.Sub(s.down).Seconds())
		}
		s.mark(now, "takeover", text)
	}
	s.writer.Name = name
}

func (s *StreamState) mark(now time.Time, kind, text string) {
	s.marks = append(s.marks, Mark{now.UnixMilli(), kind, text})
	s.marks = s.marks[max(0, len(s.marks)-maxMarks):]
	s.dirty = true
}

// Database takes a count of the database, or why there is none. An absent database has
// no rows and no error.
func (s *StreamState) Database(n mta.Inserted, bytes int64, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.dirty = s.dirty || s.db.Error == ""
		s.db.Error = err.Error()
		return
	}
	last := s.lastCount()
	if s.first == nil || n.Rides < last.Rides || n.Rejects < last.Rejects { // another database
		s.first = &n
		s.counts, s.acked, s.unannounced, s.already = nil, 0, 0, 0
		s.ackRate = rateOf{}
		s.wanted = true
	}
	s.dirty = s.dirty || n != last || s.db.Error != ""
	s.counts = append(s.counts, countSample{now, n})
	for len(s.counts) > 2 && now.Sub(s.counts[1].at) > rateWindow {
		s.counts = s.counts[1:]
	}
	s.db = DatabaseTick{Rides: n.Rides, Rejects: n.Rejects, Bytes: bytes, Reading: s.reading}
	if n.Rides <= s.synced || s.reading {
		s.behind = time.Time{}
	} else if s.behind.IsZero() {
		s.behind = now
	} else if now.Sub(s.behind) > time.Second { // nobody has announced these rows
		s.behind, s.wanted = time.Time{}, true
	}
}

func (s *StreamState) lastCount() mta.Inserted {
	if len(s.counts) == 0 {
		return mta.Inserted{}
	}
	return s.counts[len(s.counts)-1].n
}

// Rejects takes the newest rejects of the database, newest first.
func (s *StreamState) Rejects(newest []RejectTick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejects, s.dirty = newest, true
}

// Tick returns what has changed, or nil if there is nothing to say. With restart, only
// Whole tells it all.
func (s *StreamState) Tick(now time.Time) (tick *TickMessage, restart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty && now.Sub(s.ticked) < time.Second {
		return nil, false
	}
	restart = s.restart
	s.dirty, s.restart, s.ticked = false, false, now
	m := &TickMessage{Type: "tick"}
	for _, id := range slices.Sorted(maps.Keys(s.commits)) {
		x := s.commits[id]
		_, known := s.stations[id]
		s.addStation(*x)
		if have, ok := s.stations[id]; ok && !known {
			m.Stations = append(m.Stations, MapStation{ID: id, Name: have.Name, Borough: have.Borough, Lat: have.Lat, Lon: have.Lon})
		} else if !ok {
			continue
		}
		m.Commits.IDs = append(m.Commits.IDs, id)
		m.Commits.Rows = append(m.Commits.Rows, x.Rows)
		m.Commits.Riders = append(m.Commits.Riders, x.Riders)
	}
	clear(s.commits)
	s.newcomer = nil
	m.Tick = s.tick(now)
	return m, restart
}

// Whole returns the whole state, as of the last tick.
func (s *StreamState) Whole(now time.Time) *StreamMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &StreamMessage{
		Type: "stream", Version: StreamVersion, Database: s.database, Opened: s.opened.UnixMilli(),
		Base: s.base, Stations: []MapStation{}, Tick: s.tick(now),
	}
	for _, id := range slices.Sorted(maps.Keys(s.stations)) {
		m.Stations = append(m.Stations, *s.stations[id])
	}
	return m
}

// tick returns all that is not summed up by the page.
func (s *StreamState) tick(now time.Time) Tick {
	t := Tick{
		At: now.UnixMilli(), Producers: []ProducerTick{}, Standbys: []string{}, Queue: s.queue, Writer: s.writer,
		Database: s.db, Proof: s.proof(now), Hours: s.shownHours(), Unplaced: s.unplaced,
		Latest: append([]LatestRow{}, s.latest...), Rejects: append([]RejectTick{}, s.rejects...), Marks: append([]Mark{}, s.marks...),
	}
	for _, name := range slices.Sorted(maps.Keys(s.producers)) {
		switch p := s.producers[name]; {
		case now.Sub(p.heard) < gone || p.Ended && now.Sub(p.heard) < endedShown:
			t.Producers = append(t.Producers, p.ProducerTick)
		case now.Sub(p.heard) > time.Hour:
			delete(s.producers, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.standbys)) {
		if now.Sub(s.standbys[name]) > gone {
			delete(s.standbys, name)
		} else if name != s.writer.Name || !s.writer.Alive {
			t.Standbys = append(t.Standbys, name)
		}
	}
	t.Queue.Rate = s.ackRate.at(now)
	t.Writer.Commits = s.commit.at(now)
	t.Writer.Busy = min(1, s.busy.at(now))
	if n := len(s.counts); n > 1 {
		a, b := s.counts[0], s.counts[n-1]
		if span := b.at.Sub(a.at).Seconds(); span > 0 && now.Sub(b.at) < rateWindow {
			t.Writer.Rate = float64(b.n.Rides+b.n.Rejects-a.n.Rides-a.n.Rejects) / span
		}
	}
	if t.Writer.Alive && now.Sub(s.heard) > silentAfter {
		t.Writer.Silent = now.Sub(s.heard).Seconds()
	}
	return t
}

// proof compares the two counts. The database may be ahead of what the producers have
// announced: then it takes an older count, or after a while, another source of rows.
func (s *StreamState) proof(now time.Time) Proof {
	if s.first == nil {
		return Proof{Acked: s.acked, InFlight: s.acked}
	}
	grown := func(n mta.Inserted) int64 { return n.Rides + n.Rejects - s.first.Rides - s.first.Rejects }
	n := *s.first
	for _, c := range s.counts {
		if now.Sub(c.at) >= settle {
			s.unannounced = max(s.unannounced, grown(c.n)-s.acked)
		}
		if grown(c.n) <= s.acked+s.unannounced {
			n = c.n
		}
	}
	p := Proof{Acked: s.acked, Unannounced: s.unannounced, Rides: n.Rides - s.first.Rides, Rejects: n.Rejects - s.first.Rejects}
	open := p.Acked + p.Unannounced - grown(n)
	p.Already = min(open, s.already)
	p.InFlight = open - p.Already
	p.Missing = p.InFlight > 0 && !s.queueEmpty.IsZero() && now.Sub(s.queueEmpty) > missingAfter && s.db.Error == "" && s.writer.Alive
	return p
}

// Follow returns when a line of a source was read, queued and stored, as far as
// anybody has announced it.
func (s *StreamState) Follow(source string, line int64, now time.Time) FollowedRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := FollowedRow{
		Source: source, Line: line, Now: now.UnixMilli(), Rejects: []string{},
		Read:   s.lines.when(source, lineRead, line),
		Queued: s.lines.when(source, lineQueued, line),
		Stored: s.lines.when(source, lineStored, line),
	}
	// The writer may announce a row before its producer does.
	if f.Stored > 0 && f.Queued > f.Stored {
		f.Queued = f.Stored
	}
	if f.Queued > 0 && f.Read > f.Queued {
		f.Read = f.Queued
	}
	return f
}
