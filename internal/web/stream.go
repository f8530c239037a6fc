package web

// The messages of the page that shows the stream. A page is a function of a list of
// messages: one "stream" with all there is to know, and "ticks" with what is new.
// testdata/stream.json is a fixture of both.

import (
	"bytes"
	"context"
	"embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StreamVersion is the version of the messages.
const StreamVersion = 1

// A StreamMessage is the whole state. A page that receives one starts over from it.
type StreamMessage struct {
	Type     string       `json:"type"` // "stream"
	Version  int          `json:"version"`
	Database string       `json:"database"`
	Opened   int64        `json:"opened"` // since when acknowledged and inserted rows are counted
	Base     []MapStation `json:"base"`   // all stations, as a faint map
	Stations []MapStation `json:"stations"`
	Tick     Tick         `json:"tick"`
}

// A TickMessage says what has changed since the one before.
type TickMessage struct {
	Type string `json:"type"` // "tick"
	Tick
	Commits  Commits      `json:"commits"`            // to be added to the stations
	Stations []MapStation `json:"stations,omitempty"` // that had no rows before
}

// A MapStation is a station complex. It has no place on the map if Lat and Lon are nil.
type MapStation struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Borough string   `json:"borough"`
	Lat     *float64 `json:"lat"` // degrees
	Lon     *float64 `json:"lon"`
	Rows    int64    `json:"rows,omitempty"`
	Riders  int64    `json:"riders,omitempty"`
}

// Commits are columns: the rows and riders that were committed, by station.
type Commits struct {
	IDs    []string `json:"ids"`
	Rows   []int64  `json:"rows"`
	Riders []int64  `json:"riders"`
}

// A Tick has all that is not summed up by the page. Times are in milliseconds since
// 1970, ages and durations in seconds, rates a second. Hours are hours since 1970, both
// in New York wall clock time.
type Tick struct {
	At        int64          `json:"at"`
	Producers []ProducerTick `json:"producers"`
	Queue     QueueTick      `json:"queue"`
	Writer    WriterTick     `json:"writer"`
	Standbys  []string       `json:"standbys"`
	Database  DatabaseTick   `json:"database_state"`
	Proof     Proof          `json:"proof"`
	Hours     []HourRiders   `json:"hours"` // the last 24 that have rows
	Latest    []LatestRow    `json:"latest"`
	Rejects   []RejectTick   `json:"rejects"`
	Marks     []Mark         `json:"marks"`
	// Unplaced counts the rows of stations that are too many to be shown.
	Unplaced int64 `json:"unplaced,omitempty"`
}

// A ProducerTick is a producer that is running, or ended a moment ago.
type ProducerTick struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Read   int64  `json:"read"` // the line it has read
	Line   int64  `json:"line"` // up to which all is acknowledged
	Rows   int64  `json:"rows"` // acknowledged
	Ended  bool   `json:"ended"`
}

// A QueueTick is the state of the stream in the broker.
type QueueTick struct {
	Broker   bool    `json:"broker"` // it answers
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	MaxBytes int64   `json:"max_bytes"`
	Oldest   float64 `json:"oldest"` // age
	Rate     float64 `json:"rate"`   // rows acknowledged to producers
}

// A WriterTick is the process that writes to the database.
type WriterTick struct {
	Alive   bool    `json:"alive"`
	Name    string  `json:"name"`   // the newest known
	Since   int64   `json:"since"`  // when it became alive or dead
	Silent  float64 `json:"silent"` // since its last summary; 0 if it is heard
	Rate    float64 `json:"rate"`   // rows committed
	Commits float64 `json:"commits"`
	Busy    float64 `json:"busy"` // the share of the time in transactions, 0 to 1
}

// A DatabaseTick is the state of the database.
type DatabaseTick struct {
	Error   string `json:"error,omitempty"`
	Rides   int64  `json:"rides"`   // inserted since it was created
	Rejects int64  `json:"rejects"` // the same
	Bytes   int64  `json:"bytes"`   // of the file
	Reading bool   `json:"reading"` // the page is summing up the rides
}

// A Proof compares two independent counts of rows: what the producers say the broker
// has acknowledged, and what the database says it has inserted.
//
//	acked + unannounced = rides + rejects + already + in_flight
type Proof struct {
	Acked int64 `json:"acked"`
	// Unannounced rows came from no producer that the page heard of: they were
	// queued before it opened, or loaded, or sent by request or by another program.
	Unannounced int64 `json:"unannounced"`
	Rides       int64 `json:"rides"`
	Rejects     int64 `json:"rejects"`
	Already     int64 `json:"already"` // resent rows that were in the database already
	InFlight    int64 `json:"in_flight"`
	// Missing is set if rows are in flight although the queue has long been empty.
	Missing bool `json:"missing"`
}

// HourRiders are the riders of an hour.
type HourRiders struct {
	Hour   int64 `json:"hour"`
	Riders int64 `json:"riders"`
}

// A LatestRow is one of the rows that were committed last.
type LatestRow struct {
	Source  string `json:"source"`
	Line    int64  `json:"line"`
	Hour    int64  `json:"hour"`
	Station string `json:"station"` // its id
	Riders  int64  `json:"riders"`
}

// A RejectTick is one of the newest rejects.
type RejectTick struct {
	Source string `json:"source"`
	Line   int64  `json:"line"`
	Column string `json:"column"`
	Reason string `json:"reason"`
}

// A Mark is something that happened to the writer.
type Mark struct {
	At   int64  `json:"at"`
	Kind string `json:"kind"` // down, up or takeover
	Text string `json:"text"`
}

// A FollowedRow answers where one row is: GET row?source=NAME&line=N. A time is 0 if it
// is not known: it was before the page opened, or nobody has announced it.
type FollowedRow struct {
	Source  string   `json:"source"`
	Line    int64    `json:"line"`
	Now     int64    `json:"now"`
	Read    int64    `json:"read"`
	Queued  int64    `json:"queued"`
	Stored  int64    `json:"stored"`
	Found   bool     `json:"found"` // in the database, as a ride
	Hour    int64    `json:"hour"`
	Station string   `json:"station"`
	Name    string   `json:"name"`
	Riders  int64    `json:"riders"`
	Rejects []string `json:"rejects"` // reasons
}

// stations.txt has the station complexes of the MTA's ridership data of March 2023:
// public facts of data.ny.gov (wujg-7c2s). Boroughs are M, B, Q, X and S.
//
//go:embed stations.txt
var stationFile string

//go:embed stream.html theme.css stream.css stream.js
var streamFiles embed.FS

// A StreamPage serves the page. Its feeder calls Tick ten times a second.
type StreamPage struct {
	*StreamState
	*Server
	hub   *Hub
	ticks int // since the whole state was published
}

// wholeEvery is after how many ticks one message stands for all before: what a viewer
// gets who comes late.
const wholeEvery = 300

// NewStreamPage listens. row answers where one row is, with a [FollowedRow]; its error
// is for the person at the page.
func NewStreamPage(o Options, database string, row func(ctx context.Context, source string, line int64) (FollowedRow, error)) (*StreamPage, error) {
	state, err := NewStreamState(database, time.Now())
	if err != nil {
		return nil, err
	}
	p := &StreamPage{StreamState: state, hub: NewHub(), ticks: wholeEvery}
	o.Files, o.Index, o.Names = streamFiles, "stream.html", []string{"theme.css", "stream.css", "stream.js"}
	o.Events = p.hub
	o.Data = map[string]http.Handler{"row": rowHandler(row), "saved.html": http.HandlerFunc(p.save)}
	p.Server, err = NewServer(o)
	return p, err
}

// Tick tells the viewers what is new. After Sums, and when the hub is full, it tells
// them the whole state.
func (p *StreamPage) Tick(now time.Time) error {
	tick, restart := p.StreamState.Tick(now)
	if tick == nil {
		return nil
	}
	if p.ticks++; !restart && p.ticks <= wholeEvery {
		if err := p.hub.Publish("stream", tick); !errors.Is(err, ErrFull) {
			return err
		}
	}
	p.ticks = 0
	return p.hub.Replace("stream", p.Whole(now))
}

var savedStream = savedPage{streamFiles, "stream.html", []string{"theme.css", "stream.css"}, []string{"stream.js"}, nil}

// save is GET saved.html: the page as it is now, as one file that needs no server.
func (p *StreamPage) save(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if err := writePage(&page, savedStream, []any{p.Whole(time.Now())}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="turnstile-stream.html"`)
	_, _ = w.Write(page.Bytes()) // it fails only for a viewer that has gone
}

// rowHandler is GET row?source=NAME&line=N.
func rowHandler(row func(context.Context, string, int64) (FollowedRow, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := r.URL.Query().Get("source")
		line, err := strconv.ParseInt(r.URL.Query().Get("line"), 10, 64)
		if err != nil || source == "" {
			http.Error(w, "want source=NAME&line=N", http.StatusBadRequest)
			return
		}
		answer, err := row(r.Context(), source, line)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		text, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // it fails only for a viewer that has gone
	})
}

// baseStations returns the stations of the faint map.
func baseStations() (stations []MapStation, err error) {
	r := csv.NewReader(strings.NewReader(stationFile))
	if _, err := r.Read(); err != nil { // the header
		return nil, fmt.Errorf("web: stations: %w", err)
	}
	for {
		f, err := r.Read()
		if err == io.EOF {
			return stations, nil
		}
		if err != nil {
			return nil, fmt.Errorf("web: stations: %w", err)
		}
		lat, errLat := strconv.ParseFloat(f[2], 64)
		lon, errLon := strconv.ParseFloat(f[3], 64)
		borough, ok := boroughNames[f[1]]
		if errLat != nil || errLon != nil || !ok {
			return nil, fmt.Errorf("web: stations: malformed line of station %s", f[0])
		}
		stations = append(stations, MapStation{ID: f[0], Name: f[4], Borough: borough, Lat: &lat, Lon: &lon})
	}
}

var boroughNames = map[string]string{"M": "Manhattan", "B": "Brooklyn", "Q": "Queens", "X": "Bronx", "S": "Staten Island"}
