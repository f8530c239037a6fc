package web

// The sums of the map: rows and riders by station and by hour. They are read from the
// database once, and from then on follow the writer's summaries.

import (
	"maps"
	"slices"
	"time"

	"turnstile/internal/stream"
)

// Sums are what the database has of each station and hour.
type Sums struct {
	Rides    int64        // the count of inserted rides at the time
	Stations []MapStation // without a name and a place: Places has them
	Hours    map[int64]int64
}

// WantsSums reports whether the sums must be read from the database, of the sources in
// upTo only up to that line. Until Sums is called, commits are kept.
//
// While rows flow, a snapshot of the database mostly falls between the rows of one
// summary. So the rides up to the lines of the newest summary are read, and the next
// summary follows them. That is wrong if rows arrive out of order. Then their number is
// wrong, too, and they are read again when the flow pauses.
func (s *StreamState) WantsSums(now time.Time) (upTo map[string]int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inexact := !s.inexact.IsZero() && (now.Sub(s.flowed) > time.Second || now.Sub(s.inexact) > inexactFor)
	opening := s.writer.Alive && len(s.cut) == 0 && now.Sub(s.opened) < viewerHeard
	if s.reading || opening || !s.wanted && !inexact {
		return nil, false
	}
	s.wanted, s.reading, s.dirty, s.inexact = false, true, true, time.Time{}
	s.boundary = -1
	if now.Sub(s.flowed) < time.Second && len(s.cut) < maxCut {
		s.boundary, upTo = s.announced, maps.Clone(s.cut)
	}
	return upTo, true
}

// Sums takes the sums of the database, or that they could not be read. The page must
// then be sent the whole state.
func (s *StreamState) Sums(sums Sums, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	buffered := s.buffered
	s.reading, s.buffered, s.dirty, s.behind = false, nil, true, time.Time{}
	if err != nil {
		s.wanted = true
		return
	}
	s.stations, s.commits, s.newcomer, s.unplaced = map[string]*MapStation{}, map[string]*MapStation{}, nil, 0
	s.hours, s.synced, s.restart = sums.Hours, sums.Rides, true
	rows := int64(0)
	for _, x := range sums.Stations {
		rows += x.Rows
		s.addStation(x)
	}
	if s.boundary < 0 {
		s.uncounted = rows - sums.Rides
	} else if s.synced = s.boundary; s.uncounted >= 0 && rows != s.synced+s.uncounted {
		s.inexact = now
	}
	for _, c := range buffered {
		s.sum(c, now)
	}
}

// sum adds commits to the sums. If they do not follow what is summed up, or do not
// name the station of each row, the sums are inexact from then on.
func (s *StreamState) sum(c stream.CommitSummary, now time.Time) {
	if c.To.Rides <= s.synced {
		return
	}
	rows := int64(0)
	n := min(len(c.Stations.IDs), len(c.Stations.Rows), len(c.Stations.Riders))
	for i := range n {
		id := c.Stations.IDs[i]
		rows += c.Stations.Rows[i]
		p, ok := s.commits[id]
		if !ok {
			p = &MapStation{ID: id}
			s.commits[id] = p
			if _, ok := s.stations[id]; !ok {
				s.newcomer = append(s.newcomer, id)
			}
		}
		p.Rows += c.Stations.Rows[i]
		p.Riders += c.Stations.Riders[i]
	}
	for i := range min(len(c.Hours.Hours), len(c.Hours.Riders)) {
		s.hours[c.Hours.Hours[i]] += c.Hours.Riders[i]
	}
	s.boundHours()
	if s.inexact.IsZero() && (c.From.Rides != s.synced || rows != c.To.Rides-c.From.Rides) {
		s.inexact = now
	}
	s.synced = c.To.Rides
}

// boundHours drops the oldest hours if there are too many: 50 years have fewer.
func (s *StreamState) boundHours() {
	if len(s.hours) <= maxHours {
		return
	}
	hours := slices.Sorted(maps.Keys(s.hours))
	for _, hour := range hours[:len(hours)/2] {
		delete(s.hours, hour)
	}
}

// shownHours returns the hours that have riders of the day up to the newest row, oldest
// first.
func (s *StreamState) shownHours() []HourRiders {
	list := []HourRiders{}
	var last int64
	switch {
	case len(s.latest) > 0:
		last = s.latest[len(s.latest)-1].Hour
	case len(s.hours) > 0:
		last = slices.Max(slices.Collect(maps.Keys(s.hours)))
	}
	for hour := last - hoursShown + 1; hour <= last; hour++ {
		if riders, ok := s.hours[hour]; ok {
			list = append(list, HourRiders{hour, riders})
		}
	}
	return list
}

// addStation adds rows and riders to a station of the map.
func (s *StreamState) addStation(x MapStation) {
	have, ok := s.stations[x.ID]
	if !ok {
		if len(s.stations) >= maxMapStations || len(x.ID) > maxStationID {
			s.unplaced += x.Rows
			return
		}
		place := s.places[x.ID]
		have = &MapStation{ID: x.ID, Name: place.Name, Borough: place.Borough, Lat: place.Lat, Lon: place.Lon}
		s.stations[x.ID] = have
	}
	have.Rows += x.Rows
	have.Riders += x.Riders
}

// UnknownStations returns the stations of which the page knows no place yet.
func (s *StreamState) UnknownStations() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.newcomer {
		if _, ok := s.places[id]; !ok {
			ids = append(ids, id)
		}
	}
	for id, x := range s.stations {
		if _, ok := s.places[id]; !ok && x.Name == "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// Places takes names and places of stations from the database. The public places of
// the base map win: one complex has several in the data.
func (s *StreamState) Places(stations []MapStation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range stations {
		if _, ok := s.places[x.ID]; ok || len(s.places) >= 2*maxMapStations {
			continue
		}
		s.places[x.ID] = x
		if have, ok := s.stations[x.ID]; ok {
			s.restart, s.dirty = true, true
			have.Name, have.Borough, have.Lat, have.Lon = x.Name, x.Borough, x.Lat, x.Lon
		}
	}
}
