package stream

// Summaries: what writers, standbys and producers say of themselves to a page that
// shows the stream. They are core NATS messages. Nothing waits for a viewer, and a
// lost summary loses no row: the database counts its rows itself.
//
// A viewer announces itself once a second. Only then do the others collect and
// publish: without a viewer a summary costs one comparison of times for a commit.
// The alternative, to publish and let the broker drop it, costs the writer the
// collecting and the encoding.

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"turnstile/internal/mta"
)

// SummaryVersion is the version of the JSON form of summaries.
const SummaryVersion = 1

const (
	viewerRole = "page" // it can't do without summaries

	summarySubjects = "turnstile.summary."
	commitSummaries = summarySubjects + "writer"
	standbyNotices  = summarySubjects + "standby"
	ackSummaries    = summarySubjects + "producer"
	viewerNotices   = summarySubjects + "viewer"

	summaryEvery   = 100 * time.Millisecond // at most, while something changes
	heartbeatEvery = time.Second            // while nothing changes
	viewerEvery    = time.Second
	viewerExpires  = 3 * viewerEvery
)

// A CommitSummary is what one writer has committed since its previous summary.
type CommitSummary struct {
	Version      int           `json:"version"`
	Writer       string        `json:"writer"` // host/pid
	From         mta.Inserted  `json:"from"`   // the database's count of inserted rows before these commits
	To           mta.Inserted  `json:"to"`     // the same after them
	Transactions int           `json:"transactions"`
	Busy         float64       `json:"busy"` // seconds in transactions
	Outcome      mta.Outcome   `json:"outcome"`
	Stations     StationCounts `json:"stations"`
	Hours        HourCounts    `json:"hours"`
	Latest       []RowSummary  `json:"latest"` // a few of the newest rows, oldest first
	Lines        []LineRange   `json:"lines"`  // which lines were in these commits, stored or not
}

// StationCounts are columns: rows and riders of each station complex. Only rows that
// were not there before count.
type StationCounts struct {
	IDs    []string `json:"ids"`
	Rows   []int64  `json:"rows"`
	Riders []int64  `json:"riders"`
}

// HourCounts are columns: the riders of each hour. An hour is a Ride's At divided by
// 3600.
type HourCounts struct {
	Hours  []int64 `json:"hours"`
	Riders []int64 `json:"riders"`
}

// A RowSummary is one committed row.
type RowSummary struct {
	Source  string `json:"source"`
	Line    int64  `json:"line"`
	Hour    int64  `json:"hour"`
	Station string `json:"station"` // the id of the complex
	Riders  int64  `json:"riders"`
}

// A LineRange is a range of lines of a source.
type LineRange struct {
	Source string `json:"source"`
	First  int64  `json:"first"`
	Last   int64  `json:"last"`
}

// A StandbyNotice says that a process waits to become the writer.
type StandbyNotice struct {
	Version int    `json:"version"`
	Name    string `json:"name"` // host/pid
}

// An AckSummary counts what the broker has acknowledged to one producer.
type AckSummary struct {
	Version  int    `json:"version"`
	Producer string `json:"producer"` // host/pid
	Started  int64  `json:"started"`  // milliseconds since 1970
	Acked
	Ended bool `json:"ended"` // it is the producer's last summary
}

// Acked counts what the broker has acknowledged to a publisher since its start.
type Acked struct {
	Rows     int64 `json:"rows"`
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"` // of the bodies, as sent

	Source string `json:"source"` // of the newest message
	Read   int64  `json:"read"`   // the last line of it that was given to the publisher
	Line   int64  `json:"line"`   // all lines of it that were given before are acknowledged up to here
}

// maxSummary bounds a summary in bytes. Any program with a producer's login may publish
// one.
var maxSummary = map[string]int{commitSummaries: 512 << 10, standbyNotices: 8 << 10, ackSummaries: 8 << 10}

// decodeSummary returns the summary in a message.
func decodeSummary(subject string, text []byte) (any, error) {
	if len(text) > maxSummary[subject] {
		return nil, fmt.Errorf("stream: a summary on %s has %d bytes, want %d at most", subject, len(text), maxSummary[subject])
	}
	var head struct{ Version int }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("stream: malformed summary on %s: %w", subject, err)
	}
	if head.Version != SummaryVersion {
		return nil, fmt.Errorf("stream: a summary of version %d on %s, want %d", head.Version, subject, SummaryVersion)
	}
	switch subject {
	case commitSummaries:
		return decodeAs[CommitSummary](subject, text)
	case standbyNotices:
		return decodeAs[StandbyNotice](subject, text)
	case ackSummaries:
		return decodeAs[AckSummary](subject, text)
	}
	return nil, fmt.Errorf("stream: an unknown summary on %s", subject)
}

func decodeAs[T interface{ check() error }](subject string, text []byte) (any, error) {
	var summary T
	err := json.Unmarshal(text, &summary)
	if err == nil {
		err = summary.check()
	}
	if err != nil {
		return nil, fmt.Errorf("stream: malformed summary on %s: %w", subject, err)
	}
	return summary, nil
}

const (
	maxText = 300               // bytes of a name, a source and the id of a station
	maxHour = 100_000_000       // the years 1 to 9999 are within, either way
	maxBusy = 10 * 365 * 86_400 // seconds
)

// check refuses what no writer says: a page could not count with it.
func (c CommitSummary) check() error {
	texts, hours := append([]string{c.Writer}, c.Stations.IDs...), slices.Clone(c.Hours.Hours)
	for _, r := range c.Latest {
		texts, hours = append(texts, r.Source, r.Station), append(hours, r.Hour)
	}
	for _, l := range c.Lines {
		texts = append(texts, l.Source)
	}
	if c.Busy < 0 || c.Busy > maxBusy {
		return fmt.Errorf("busy is %v", c.Busy)
	}
	for _, hour := range hours {
		if hour < -maxHour || hour > maxHour {
			return fmt.Errorf("an hour is %d", hour)
		}
	}
	return checkTexts(texts...)
}

func (n StandbyNotice) check() error { return checkTexts(n.Name) }

func (a AckSummary) check() error { return checkTexts(a.Producer, a.Source) }

func checkTexts(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("a name has %d bytes, want %d at most", len(text), maxText)
		}
	}
	return nil
}
