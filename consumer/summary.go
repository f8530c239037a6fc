package main

// What the writer says of its commits to a page that shows the stream. Without a
// page it collects nothing.

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

const (
	// maxSummaryStations bounds a summary. New York has 428 station complexes; any
	// program may send more. Rows beyond it are missing in the summary, and the page
	// notices that and reads the database.
	maxSummaryStations = 1000
	maxSummaryHours    = 100
	maxSummaryLines    = 100
	maxSummaryID       = 64 // bytes of the id of a station
	latestRows         = 4
)

// A commitSummary collects what is committed between two summaries.
type commitSummary struct {
	*stream.Announcer
	name    string
	watched func() bool

	mu       sync.Mutex // guards all below
	from, to mta.Inserted
	commits  int
	busy     time.Duration
	outcome  mta.Outcome
	stations map[string]*stationCount
	hours    map[int64]int64
	latest   []stream.RowSummary
	lines    []stream.LineRange
}

type stationCount struct{ rows, riders int64 }

// announceCommits begins with a database that has had so many rows inserted.
func announceCommits(conn *stream.Conn, name string, inserted mta.Inserted) (s *commitSummary, err error) {
	s = &commitSummary{name: name, from: inserted, to: inserted, stations: map[string]*stationCount{}, hours: map[int64]int64{}}
	if s.Announcer, err = conn.AnnounceCommits(s.changed, s.take); err != nil {
		return nil, err
	}
	s.watched = s.Watched
	return s, nil
}

// processName is the name of this process for other processes: host/pid.
func processName() (string, error) {
	host, err := os.Hostname()
	return fmt.Sprintf("%s/%d", host, os.Getpid()), err
}

// add adds a commit, after which the database has had so many rows inserted.
func (s *commitSummary) add(c ingest.Commit, inserted mta.Inserted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.watched() {
		s.reset(inserted)
		return
	}
	s.to = inserted
	s.commits++
	s.busy += c.Took
	for i, outcome := range c.Outcomes {
		s.outcome = s.outcome.Add(outcome)
		part := &c.Batch.Parts[i]
		s.addLines(part)
		// Which rows of a part were new is known only if all or none were. The page
		// notices missing rows, and reads the database.
		if outcome.Stored > 0 && outcome.Stored == len(part.Rides) {
			s.addRides(part, &c.Batch.Dims)
		}
	}
}

// changed reports whether anything was committed since the last summary.
func (s *commitSummary) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits > 0
}

// reset forgets what was collected.
func (s *commitSummary) reset(inserted mta.Inserted) {
	s.from, s.to, s.commits, s.busy, s.outcome = inserted, inserted, 0, 0, mta.Outcome{}
	s.latest, s.lines = nil, nil
	clear(s.stations)
	clear(s.hours)
}

func (s *commitSummary) addRides(part *mta.Part, dims *mta.Dimensions) {
	var station *stationCount
	last := uint32(0)
	hour, riders := int64(0), int64(0) // rows of one hour mostly follow each other
	for i := range part.Rides {
		r := &part.Rides[i]
		if i == 0 || r.Station != last {
			station, last = s.station(dims.Stations[r.Station].ComplexID.S), r.Station
		}
		if station != nil {
			station.rows++
			station.riders += r.Ridership
		}
		if at := r.At / 3600; at != hour {
			s.addHour(hour, riders)
			hour, riders = at, 0
		}
		riders += r.Ridership
	}
	s.addHour(hour, riders)
	for i := max(0, len(part.Rides)-latestRows); i < len(part.Rides); i++ {
		r := &part.Rides[i]
		s.latest = append(s.latest, stream.RowSummary{
			Source: part.Source, Line: int64(r.Line), Hour: r.At / 3600,
			Station: shortID(dims.Stations[r.Station].ComplexID.S), Riders: r.Ridership,
		})
	}
	s.latest = s.latest[max(0, len(s.latest)-latestRows):]
}

// shortID cuts an id that no summary can have. A page refuses longer ones.
func shortID(id string) string {
	if len(id) <= maxSummaryID {
		return id
	}
	return strings.ToValidUTF8(id[:maxSummaryID], "") + "…"
}

// station returns the count of a station complex, or nil if there are too many.
func (s *commitSummary) station(id string) *stationCount {
	if c, ok := s.stations[id]; ok {
		return c
	}
	if len(s.stations) >= maxSummaryStations || len(id) > maxSummaryID {
		return nil
	}
	c := new(stationCount)
	s.stations[id] = c
	return c
}

func (s *commitSummary) addHour(hour, riders int64) {
	if _, ok := s.hours[hour]; riders > 0 && (ok || len(s.hours) < maxSummaryHours) {
		s.hours[hour] += riders
	}
}

func (s *commitSummary) addLines(part *mta.Part) {
	first, last := int64(0), int64(0)
	extend := func(from, to int64) {
		if first == 0 || from < first {
			first = from
		}
		last = max(last, to)
	}
	if n := len(part.Rides); n > 0 {
		extend(int64(part.Rides[0].Line), int64(part.Rides[n-1].Line))
	}
	for i := range part.Rejects {
		extend(part.Rejects[i].Line, max(part.Rejects[i].Line, part.Rejects[i].Last))
	}
	if first == 0 {
		return
	}
	if n := len(s.lines); n > 0 && s.lines[n-1].Source == part.Source && s.lines[n-1].Last+1 >= first && s.lines[n-1].First <= first {
		s.lines[n-1].Last = max(s.lines[n-1].Last, last)
	} else if n < maxSummaryLines {
		s.lines = append(s.lines, stream.LineRange{Source: part.Source, First: first, Last: last})
	}
}

// take returns what was committed since the last call.
func (s *commitSummary) take() stream.CommitSummary {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := stream.CommitSummary{
		Version: stream.SummaryVersion, Writer: s.name, From: s.from, To: s.to,
		Transactions: s.commits, Busy: s.busy.Seconds(), Outcome: s.outcome, Latest: s.latest, Lines: s.lines,
	}
	for _, id := range slices.Sorted(maps.Keys(s.stations)) {
		c.Stations.IDs = append(c.Stations.IDs, id)
		c.Stations.Rows = append(c.Stations.Rows, s.stations[id].rows)
		c.Stations.Riders = append(c.Stations.Riders, s.stations[id].riders)
	}
	for _, hour := range slices.Sorted(maps.Keys(s.hours)) {
		c.Hours.Hours = append(c.Hours.Hours, hour)
		c.Hours.Riders = append(c.Hours.Riders, s.hours[hour])
	}
	s.reset(s.to)
	return c
}
