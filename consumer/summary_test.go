package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

var summaryDims = mta.Dimensions{Stations: []mta.Station{
	{ComplexID: mta.Text{S: "10", Valid: true}},
	{ComplexID: mta.Text{S: "611", Valid: true}},
	{ComplexID: mta.Text{S: strings.Repeat("9", maxSummaryID+1), Valid: true}},
}}

func summaryPart(source string, line, n, station uint32, hour int64) mta.Part {
	p := mta.Part{Source: source}
	for i := range n {
		p.Rides = append(p.Rides, mta.Ride{Line: line + i, Station: station, At: hour*3600 + int64(i), Ridership: 2})
	}
	return p
}

// A summary has the rows that were new, by station and hour, and begins where the one
// before ended.
func TestCommitSummary(t *testing.T) {
	watched := false
	s := &commitSummary{name: "host/1", watched: func() bool { return watched }, stations: map[string]*stationCount{}, hours: map[int64]int64{}}
	add := func(inserted int64, parts []mta.Part, outcomes ...mta.Outcome) {
		s.add(ingest.Commit{Batch: &mta.Batch{Parts: parts, Dims: summaryDims}, Outcomes: outcomes, Took: 10 * time.Millisecond}, mta.Inserted{Rides: inserted})
	}
	a, b := summaryPart("a.csv", 2, 3, 0, 5), summaryPart("a.csv", 5, 2, 1, 6)
	add(100, []mta.Part{a}, mta.Outcome{Stored: 3})
	if s.changed() {
		t.Error("a commit is collected although nobody listens")
	}
	watched = true
	reject := mta.Part{Source: "a.csv", Rejects: []mta.Reject{{Line: 7, Last: 9}}}
	add(105, []mta.Part{a, b, reject}, mta.Outcome{Stored: 3}, mta.Outcome{Stored: 2}, mta.Outcome{Rejected: 3})
	add(106, []mta.Part{a, summaryPart("b.csv", 2, 2, 1, 6)}, mta.Outcome{AlreadyThere: 3}, mta.Outcome{Stored: 1, AlreadyThere: 1})
	if !s.changed() {
		t.Error("nothing has changed")
	}
	want := stream.CommitSummary{
		Version: stream.SummaryVersion, Writer: "host/1", From: mta.Inserted{Rides: 100}, To: mta.Inserted{Rides: 106},
		Transactions: 2, Busy: 0.02, Outcome: mta.Outcome{Stored: 6, AlreadyThere: 4, Rejected: 3},
		// The part of b.csv was stored in part, and nobody knows which row.
		Stations: stream.StationCounts{IDs: []string{"10", "611"}, Rows: []int64{3, 2}, Riders: []int64{6, 4}},
		Hours:    stream.HourCounts{Hours: []int64{5, 6}, Riders: []int64{6, 4}},
		Latest: []stream.RowSummary{
			{Source: "a.csv", Line: 3, Hour: 5, Station: "10", Riders: 2},
			{Source: "a.csv", Line: 4, Hour: 5, Station: "10", Riders: 2},
			{Source: "a.csv", Line: 5, Hour: 6, Station: "611", Riders: 2},
			{Source: "a.csv", Line: 6, Hour: 6, Station: "611", Riders: 2},
		},
		Lines: []stream.LineRange{{Source: "a.csv", First: 2, Last: 9}, {Source: "b.csv", First: 2, Last: 3}},
	}
	if got := s.take(); !reflect.DeepEqual(got, want) {
		t.Errorf("the summary is\n%+v, want\n%+v", got, want)
	}
	if got := s.take(); s.changed() || got.From.Rides != 106 || got.To.Rides != 106 || got.Transactions != 0 || got.Stations.IDs != nil {
		t.Errorf("the next summary is %+v", got)
	}
}

// A summary stays small, whatever the stream has.
func TestCommitSummaryIsBounded(t *testing.T) {
	s := &commitSummary{watched: func() bool { return true }, stations: map[string]*stationCount{}, hours: map[int64]int64{}}
	dims := mta.Dimensions{Stations: summaryDims.Stations[2:]}
	for i := range 3 * maxSummaryStations {
		dims.Stations = append(dims.Stations, mta.Station{ComplexID: mta.Text{S: fmt.Sprint(i), Valid: true}})
	}
	for i := range slices.Backward(dims.Stations) {
		part := summaryPart(fmt.Sprint(i, ".csv"), 2, 1, uint32(i), int64(i))
		s.add(ingest.Commit{Batch: &mta.Batch{Parts: []mta.Part{part}, Dims: dims}, Outcomes: []mta.Outcome{{Stored: 1}}}, mta.Inserted{Rides: int64(i)})
	}
	got := s.take()
	if len(got.Stations.IDs) != maxSummaryStations || len(got.Hours.Hours) != maxSummaryHours || len(got.Lines) != maxSummaryLines || len(got.Latest) != latestRows {
		t.Errorf("%d stations, %d hours, %d ranges of lines, %d rows", len(got.Stations.IDs), len(got.Hours.Hours), len(got.Lines), len(got.Latest))
	}
	if got, want := got.Latest[latestRows-1].Station, strings.Repeat("9", maxSummaryID)+"…"; got != want {
		t.Errorf("the station of the last row is %q, want %q", got, want)
	}
}
