package report

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// RecordingVersion is the version of the schema of [Recording]. A reader
// refuses a newer one.
const RecordingVersion = 1

// Recording is the events of several processes on one time axis. A trial, a
// scene and watch make one each; pages and traces are made from it.
//
// In JSON all times are whole microseconds. The events of a lane are columns,
// and a time is the difference from the time before it, so that small numbers
// and long runs of the same number are what is written:
//
//	{"version": 1, "source": "trial", "title": "direct, 2 processes, ...",
//	 "zero": "2026-11-25T14:00:00.5Z",            wall-clock time of time 0
//	 "lanes": [{
//	   "process": "P1", "pid": 101, "command": "", "waits_for": "lock",
//	   "events": {
//	     "ready":    [0, 12],      since the end of the event before; may be negative
//	     "wants":    [0, 3],       since ready; -1: it did not come to it
//	     "begun":    [2000, -1],   since wants; -1: it never had the lock
//	     "released": [300500, -1], since begun; -1: unfinished, or no lock
//	     "end":      [40, 500120], since the last time before that is not -1
//	     "first":      [0, 1],     first row; left out where rows follow on one another
//	     "rows":       [1, 1],     left out where all are 1
//	     "task":       [300000, 0],  left out where all are 0
//	     "code":       [0, 5],     SQLite's extended result code; left out where all are 0
//	     "lock":       ["", ""],   SQLite's name of the lock; left out where none is known
//	     "unfinished": []          indexes of events that time ran out for; left out if none
//	   }}],
//	 "notes":  [{"at": 1200000, "process": "P1", "kind": "alert", "text": "..."}],
//	 "series": [{"name": "wal_bytes", "at": [0, 500000], "values": [4152, 8272]}],
//	 "dropped": null}
//
// Gaps between events are time in which nothing is known of the process.
type Recording struct {
	Version int       `json:"version"`
	Source  string    `json:"source"` // "trial", "scene" or "watch"
	Title   string    `json:"title"`
	Zero    time.Time `json:"zero"`
	Lanes   []Lane    `json:"lanes"`
	Notes   []Note    `json:"notes"`
	Series  []Series  `json:"series"`
	Dropped *Dropped  `json:"dropped"` // nil: every event is here
}

// Lane is the events of one process, in the order of time.
type Lane struct {
	Process  string
	PID      int
	Command  string // of a process that is not the lab's own
	WaitsFor string // what the time from Wants to Begun or End is spent on
	Events   []Event
}

// What a process of a lane waits for. Waiting for SQLite's lock and waiting for
// the queue or for the writer's commit are different things.
const (
	WaitsForLock   = "lock"
	WaitsForTurn   = "turn"
	WaitsForQueue  = "queue"
	WaitsForCommit = "commit"
)

// Note is something that happened at one moment.
type Note struct {
	At      time.Duration
	Process string // "" if it is about no single one
	Kind    string // "alert", "gap" (nothing could be seen since the last event), "info"
	Text    string
}

// Series is a number over time, such as the size of the WAL.
type Series struct {
	Name   string
	At     []time.Duration
	Values []int64
}

// Dropped says which events of a recording were left out.
type Dropped struct {
	Events int           // how many were recorded in all
	Until  time.Duration // events that ended before are all here
	Waits  int           // and of the later ones those with the longest waits, so many
}

// Bounds of a recording.
const (
	maxRecordedEvents = 200_000
	recordedTime      = 10 * time.Second
	recordedWaits     = 1_000
)

// newRecording keeps the events of a trial: all, if they are few enough, else
// those of the first seconds, and the longest waits.
func newRecording(s Setting, all []Trace) *Recording {
	r := &Recording{
		Version: RecordingVersion, Source: "trial", Title: s.String(),
		Lanes: []Lane{}, Notes: []Note{}, Series: []Series{},
	}
	total := 0
	var times []time.Duration // of the events in the first seconds
	for _, trace := range all {
		for e := range trace.Events {
			if total++; e.End < recordedTime {
				times = append(times, e.End)
			}
		}
	}
	until := time.Duration(-1)
	if total > maxRecordedEvents {
		until = recordedTime
		if most := maxRecordedEvents - recordedWaits; len(times) > most {
			slices.Sort(times)
			until = times[most]
		}
		r.Dropped = &Dropped{Events: total, Until: until, Waits: recordedWaits}
	}
	longest := longestWaits(all, until)
	for _, trace := range all {
		lane := Lane{Process: trace.Process, PID: trace.PID, WaitsFor: waitsFor(s.Strategy, trace.Number == 0), Events: []Event{}}
		for e := range trace.Events {
			if until < 0 || e.End < until || longest[eventKey{trace.Process, e.End}] {
				lane.Events = append(lane.Events, e)
			}
		}
		r.Lanes = append(r.Lanes, lane)
	}
	return r
}

// Part returns the events of a running trial since the last part. An event that
// was unfinished at the end of a lane goes on in the next part. dropped of the
// total events of the trial so far are in no part.
func Part(s Setting, zero time.Time, traces []Trace, total, dropped int) Recording {
	r := Recording{
		Version: RecordingVersion, Source: "trial", Title: s.String(), Zero: zero.UTC().Round(0),
		Lanes: []Lane{}, Notes: []Note{}, Series: []Series{},
	}
	for _, trace := range traces {
		r.Lanes = append(r.Lanes, Lane{
			Process: trace.Process, PID: trace.PID, WaitsFor: waitsFor(s.Strategy, trace.Number == 0),
			Events: slices.AppendSeq([]Event{}, trace.Events),
		})
	}
	if dropped > 0 {
		r.Dropped = &Dropped{Events: total, Until: r.end()}
	}
	return r
}

// waitsFor returns what a process of a strategy waits for.
func waitsFor(strategy string, writer bool) string {
	s := Find(strategy)
	switch {
	case writer:
		return WaitsForLock
	case s.Queue == ToQueue:
		return WaitsForQueue
	case s.Queue == Request:
		return WaitsForCommit
	case s.Turns:
		return WaitsForTurn
	}
	return WaitsForLock
}

// eventKey identifies an event: a process ends one at a time.
type eventKey struct {
	process string
	end     time.Duration
}

// longestWaits returns the events at or after a time with the longest waits.
func longestWaits(all []Trace, from time.Duration) map[eventKey]bool {
	keep := map[eventKey]bool{}
	if from < 0 {
		return keep
	}
	var shortest waitHeap
	for _, trace := range all {
		for e := range trace.Events {
			if e.End < from {
				continue
			}
			w := keptWait{eventKey{trace.Process, e.End}, e.Wait()}
			switch {
			case len(shortest) < recordedWaits:
				heap.Push(&shortest, w)
			case w.wait > shortest[0].wait:
				shortest[0] = w
				heap.Fix(&shortest, 0)
			}
		}
	}
	for _, w := range shortest {
		keep[w.eventKey] = true
	}
	return keep
}

type keptWait struct {
	eventKey
	wait time.Duration
}

// waitHeap has the shortest wait at its top.
type waitHeap []keptWait

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].wait < h[j].wait }
func (h waitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *waitHeap) Push(x any)        { *h = append(*h, x.(keptWait)) }
func (h *waitHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// count returns the number of events.
func (r *Recording) count() int {
	n := 0
	for _, lane := range r.Lanes {
		n += len(lane.Events)
	}
	return n
}

// end returns the time of the last event, note or sample.
func (r *Recording) end() (last time.Duration) {
	for _, lane := range r.Lanes {
		for _, e := range lane.Events {
			last = max(last, e.End)
		}
	}
	for _, n := range r.Notes {
		last = max(last, n.At)
	}
	for _, s := range r.Series {
		last = max(last, slices.Max(append(s.At, 0)))
	}
	return last
}

// laneDoc is a lane in JSON.
type laneDoc struct {
	Process  string     `json:"process"`
	PID      int        `json:"pid"`
	Command  string     `json:"command,omitempty"`
	WaitsFor string     `json:"waits_for"`
	Events   columnsDoc `json:"events"`
}

type columnsDoc struct {
	Ready      []int64  `json:"ready"`
	Wants      []int64  `json:"wants"`
	Begun      []int64  `json:"begun"`
	Released   []int64  `json:"released"`
	End        []int64  `json:"end"`
	First      []int    `json:"first,omitempty"`
	Rows       []int    `json:"rows,omitempty"`
	Task       []int64  `json:"task,omitempty"`
	Code       []int    `json:"code,omitempty"`
	Lock       []string `json:"lock,omitempty"`
	Unfinished []int    `json:"unfinished,omitempty"`
}

// MarshalJSON writes the events as columns.
func (l Lane) MarshalJSON() ([]byte, error) {
	n := len(l.Events)
	c := columnsDoc{
		Ready: make([]int64, n), Wants: make([]int64, n), Begun: make([]int64, n), Released: make([]int64, n), End: make([]int64, n),
		First: make([]int, n), Rows: make([]int, n), Task: make([]int64, n), Code: make([]int, n), Lock: make([]string, n),
	}
	var first, rows, task, code, lock bool // the column says something
	last, next := int64(0), 0
	for i, e := range l.Events {
		ready := e.Ready.Microseconds()
		c.Ready[i] = ready - last
		last = ready
		for _, column := range []struct {
			to *int64
			at time.Duration
		}{{&c.Wants[i], e.Wants}, {&c.Begun[i], e.Begun}, {&c.Released[i], e.Released}, {&c.End[i], e.End}} {
			if *column.to = -1; column.at >= 0 {
				at := max(last, column.at.Microseconds())
				*column.to, last = at-last, at
			}
		}
		c.First[i], c.Rows[i], c.Task[i], c.Code[i], c.Lock[i] = e.First, e.Rows, e.Task.Microseconds(), e.Code, e.Lock
		first, rows, task = first || e.First != next, rows || e.Rows != 1, task || e.Task != 0
		code, lock = code || e.Code != 0, lock || e.Lock != ""
		next = e.First + e.Rows
		if e.Unfinished {
			c.Unfinished = append(c.Unfinished, i)
		}
	}
	c.First, c.Rows, c.Task = keepColumn(c.First, first), keepColumn(c.Rows, rows), keepColumn(c.Task, task)
	c.Code, c.Lock = keepColumn(c.Code, code), keepColumn(c.Lock, lock)
	return json.Marshal(laneDoc{l.Process, l.PID, l.Command, l.WaitsFor, c})
}

func keepColumn[T any](column []T, keep bool) []T {
	if keep {
		return column
	}
	return nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Lane) UnmarshalJSON(b []byte) error {
	var d laneDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	c := d.Events
	n := len(c.Ready)
	*l = Lane{d.Process, d.PID, d.Command, d.WaitsFor, make([]Event, n)}
	for _, length := range []int{len(c.Wants), len(c.Begun), len(c.Released), len(c.End)} {
		if length != n {
			return d.wrong("columns of %d and %d events", n, length)
		}
	}
	for _, length := range []int{len(c.First), len(c.Rows), len(c.Task), len(c.Code), len(c.Lock)} {
		if length != 0 && length != n {
			return d.wrong("columns of %d and %d events", n, length)
		}
	}
	last, next := int64(0), 0
	for i := range l.Events {
		e := &l.Events[i]
		if c.End[i] < 0 {
			return d.wrong("event %d has no end", i)
		}
		var err error
		if last, err = later(last, c.Ready[i]); err != nil {
			return d.wrong("event %d: %w", i, err)
		}
		e.Ready = fromMicros(last)
		for _, column := range []struct {
			from int64
			at   *time.Duration
		}{{c.Wants[i], &e.Wants}, {c.Begun[i], &e.Begun}, {c.Released[i], &e.Released}, {c.End[i], &e.End}} {
			if *column.at = -1; column.from < 0 {
				continue
			}
			if last, err = later(last, column.from); err != nil {
				return d.wrong("event %d: %w", i, err)
			}
			*column.at = fromMicros(last)
		}
		e.First, e.Rows, e.Task = valueAt(c.First, i, next), valueAt(c.Rows, i, 1), fromMicros(valueAt(c.Task, i, 0))
		e.Code, e.Lock = valueAt(c.Code, i, 0), valueAt(c.Lock, i, "")
		next = e.First + e.Rows
	}
	for _, i := range c.Unfinished {
		if i < 0 || i >= n {
			return d.wrong("an unfinished event %d, and %d events", i, n)
		}
		l.Events[i].Unfinished = true
	}
	return nil
}

func (d laneDoc) wrong(format string, values ...any) error {
	return &InconsistentError{"lane " + d.Process, fmt.Errorf(format, values...)}
}

func valueAt[T any](column []T, i int, missing T) T {
	if len(column) == 0 {
		return missing
	}
	return column[i]
}

func fromMicros(micros int64) time.Duration { return time.Duration(micros) * time.Microsecond }

type noteDoc struct {
	At      int64  `json:"at"`
	Process string `json:"process"`
	Kind    string `json:"kind"`
	Text    string `json:"text"`
}

// MarshalJSON writes the time in microseconds.
func (n Note) MarshalJSON() ([]byte, error) {
	return json.Marshal(noteDoc{n.At.Microseconds(), n.Process, n.Kind, n.Text})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Note) UnmarshalJSON(b []byte) error {
	var d noteDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if _, err := later(0, d.At); err != nil {
		return &InconsistentError{"note " + strconv.Quote(d.Text), err}
	}
	*n = Note{fromMicros(d.At), d.Process, d.Kind, d.Text}
	return nil
}

type seriesDoc struct {
	Name   string  `json:"name"`
	At     []int64 `json:"at"`
	Values []int64 `json:"values"`
}

// MarshalJSON writes each time as the difference from the one before.
func (s Series) MarshalJSON() ([]byte, error) {
	d := seriesDoc{s.Name, make([]int64, len(s.At)), append([]int64{}, s.Values...)}
	last := int64(0)
	for i, at := range s.At {
		d.At[i] = at.Microseconds() - last
		last = at.Microseconds()
	}
	return json.Marshal(d)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Series) UnmarshalJSON(b []byte) error {
	var d seriesDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if len(d.At) != len(d.Values) {
		return &InconsistentError{"series " + d.Name, fmt.Errorf("%d times and %d values", len(d.At), len(d.Values))}
	}
	*s = Series{d.Name, make([]time.Duration, len(d.At)), d.Values}
	last := int64(0)
	for i, step := range d.At {
		var err error
		if last, err = later(last, step); err != nil {
			return &InconsistentError{"series " + d.Name, err}
		}
		s.At[i] = fromMicros(last)
	}
	return nil
}

type droppedDoc struct {
	Events int   `json:"events"`
	Until  int64 `json:"until"`
	Waits  int   `json:"waits"`
}

// MarshalJSON writes the time in microseconds.
func (d Dropped) MarshalJSON() ([]byte, error) {
	return json.Marshal(droppedDoc{d.Events, d.Until.Microseconds(), d.Waits})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Dropped) UnmarshalJSON(b []byte) error {
	var doc droppedDoc
	err := json.Unmarshal(b, &doc)
	*d = Dropped{doc.Events, fromMicros(doc.Until), doc.Waits}
	return err
}
