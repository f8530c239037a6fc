package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// traceTool is what a trace names as its origin.
const traceTool = "turnstile"

// traceEvent is an event of the Chrome trace format, which ui.perfetto.dev and
// chrome://tracing open. Times are microseconds.
type traceEvent struct {
	Phase    string         `json:"ph"`
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	PID      int            `json:"pid"`
	TID      int            `json:"tid"`
	At       float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	ID       int            `json:"id,omitempty"`
	Bind     string         `json:"bp,omitempty"`
	Scope    string         `json:"s,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

// TraceFile collects events in the Chrome trace format. It has processes, each
// with threads; the threads of a process are numbered from 1. The slices of a
// thread must nest.
type TraceFile struct {
	events    []traceEvent
	processes int // so far, to number them
	flows     int
}

// Process adds a process and returns its number.
func (t *TraceFile) Process(title string) (pid int) {
	t.processes++
	pid = t.processes
	t.add(traceEvent{Phase: "M", Name: "process_name", PID: pid, Args: map[string]any{"name": title}})
	t.add(traceEvent{Phase: "M", Name: "process_sort_index", PID: pid, Args: map[string]any{"sort_index": pid}})
	return pid
}

// Thread adds a thread, shown at this place among those of its process.
func (t *TraceFile) Thread(pid, tid int, name string, place int) {
	t.add(traceEvent{Phase: "M", Name: "thread_name", PID: pid, TID: tid, Args: map[string]any{"name": name}})
	t.add(traceEvent{Phase: "M", Name: "thread_sort_index", PID: pid, TID: tid, Args: map[string]any{"sort_index": place}})
}

// Slice adds a span of time, unless it is empty.
func (t *TraceFile) Slice(pid, tid int, name, category string, from, to time.Duration, args map[string]any) {
	if to <= from {
		return
	}
	t.add(traceEvent{
		Phase: "X", Name: name, Category: category, PID: pid, TID: tid,
		At: traceTime(from), Duration: new(traceTime(to - from)), Args: args,
	})
}

// Mark adds a moment.
func (t *TraceFile) Mark(pid, tid int, name string, at time.Duration, args map[string]any) {
	t.add(traceEvent{Phase: "i", Name: name, PID: pid, TID: tid, At: traceTime(at), Scope: "t", Args: args})
}

// MarkCode adds the moment at which SQLite returned an error code.
func (t *TraceFile) MarkCode(pid, tid, code int, at time.Duration) {
	t.Mark(pid, tid, fmt.Sprintf("%s (%d)", CodeName(code), code), at, nil)
}

// Write writes the file.
func (t *TraceFile) Write(w io.Writer) error {
	b, err := json.Marshal(struct {
		Unit   string         `json:"displayTimeUnit"`
		Other  map[string]any `json:"otherData"`
		Events []traceEvent   `json:"traceEvents"`
	}{"ms", map[string]any{"tool": traceTool}, append([]traceEvent{}, t.events...)})
	if err != nil {
		return fmt.Errorf("report: write the trace: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func (t *TraceFile) add(e traceEvent) { t.events = append(t.events, e) }

// WriteTrace writes recordings in the Chrome trace format. Each recording is a
// process of the trace, and each lane one of its threads: the lane with the
// fewest rows first, the single writer last. A lane has slices for works,
// waits, "has the lock" with its task inside, and a mark for each error. A flow
// arrow goes from a hold to the next one that was waiting for it. Counters show
// how many wait, and how many rows are stored.
func WriteTrace(w io.Writer, recordings []*Recording) error {
	t := &TraceFile{}
	for _, r := range recordings {
		t.addRecording(r)
	}
	return t.Write(w)
}

func (t *TraceFile) addRecording(r *Recording) {
	pid := t.Process(r.Title)
	place := lanePlaces(r.Lanes)
	var holds []TraceHold
	for i, lane := range r.Lanes {
		tid := i + 1
		t.Thread(pid, tid, laneTitle(lane), place[i])
		var last time.Duration
		for _, e := range lane.Events {
			t.addEvent(pid, tid, lane, e, last)
			last = e.End
			if from, to := e.Hold(); to > from {
				holds = append(holds, TraceHold{tid, e.Wants, from, to})
			}
		}
	}
	t.HandOvers(pid, holds)
	t.addCounters(pid, r)
	for _, n := range r.Notes {
		t.add(traceEvent{Phase: "i", Name: n.Text, Category: n.Kind, PID: pid, At: traceTime(n.At), Scope: "p"})
	}
}

func laneTitle(lane Lane) string {
	if lane.Command != "" {
		return fmt.Sprintf("%s %s", lane.Process, lane.Command)
	}
	return lane.Process
}

// lanePlaces returns the place of each lane: by rows done, the writer last.
func lanePlaces(lanes []Lane) []int {
	order := make([]int, len(lanes))
	rows := make([]int, len(lanes))
	for i, lane := range lanes {
		order[i] = i
		for _, e := range lane.Events {
			if e.Done() {
				rows[i] += e.Rows
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if d := cmp.Compare(isWriter(lanes[a]), isWriter(lanes[b])); d != 0 {
			return d
		}
		return cmp.Compare(rows[a], rows[b])
	})
	places := make([]int, len(lanes))
	for place, i := range order {
		places[i] = place
	}
	return places
}

func isWriter(lane Lane) int {
	if lane.Process == WriterName {
		return 1
	}
	return 0
}

func traceTime(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// Names of slices.
const (
	SliceWaits = "waits for the " // a constant such as WaitsForLock
	sliceWorks = "works"
	SliceHold  = "has the lock"
	sliceTask  = "task"
)

func sliceWaits(lane Lane) string {
	if lane.WaitsFor == "" {
		return "waits"
	}
	return SliceWaits + lane.WaitsFor
}

// addEvent adds the slices of an event that follows one that ended at last. They
// do not overlap, but for the task inside the hold.
func (t *TraceFile) addEvent(pid, tid int, lane Lane, e Event, last time.Duration) {
	slice := func(name, category string, from, to time.Duration, args map[string]any) {
		t.Slice(pid, tid, name, category, from, to, args)
	}
	args := map[string]any{"code": e.Code}
	if e.Rows > 0 { // an observer does not know them
		args["row"], args["rows"] = e.First+1, e.Rows
	}
	if e.Unfinished {
		args["unfinished"] = true
	}
	if e.Lock != "" {
		args["lock"] = e.Lock
	}
	from, to := e.worksOutside(last)
	worksOutside := to > from
	slice(sliceWorks, "task", from, to, args)
	from, to = e.LockWait()
	name := sliceWaits(lane)
	if e.Unfinished && e.Begun < 0 {
		name += " (time ran out)"
	}
	slice(name, "wait", from, to, args)
	from, to = e.Hold()
	slice(SliceHold, "lock", from, to, args)
	if !worksOutside && e.Task > 0 && to > from {
		slice(sliceTask, "task", from, min(to, from+e.Task), nil)
	}
	if e.Code != 0 {
		t.MarkCode(pid, tid, e.Code, e.End)
	}
}

// TraceHold is a slice of a thread in which it had the lock.
type TraceHold struct {
	TID      int
	Wants    time.Duration // since when it waited for the lock; -1 if it did not
	From, To time.Duration
}

// HandOvers adds an arrow from each hold to the next one, if that one waited
// when the first ended. Both ends lie inside their slices.
func (t *TraceFile) HandOvers(pid int, holds []TraceHold) {
	slices.SortStableFunc(holds, func(a, b TraceHold) int { return cmp.Compare(a.From, b.From) })
	for i := 1; i < len(holds); i++ {
		a, b := holds[i-1], holds[i]
		if a.TID == b.TID || b.Wants < 0 || b.Wants == b.From || b.Wants > a.To || b.From < a.To {
			continue
		}
		t.flows++
		inside := min(time.Microsecond, a.To-a.From) / 2
		t.add(traceEvent{Phase: "s", Name: "handed over", Category: "lock", PID: pid, TID: a.TID, At: traceTime(a.To - inside), ID: t.flows})
		t.add(traceEvent{Phase: "f", Name: "handed over", Category: "lock", PID: pid, TID: b.TID, At: traceTime(b.From), ID: t.flows, Bind: "e"})
	}
}

// addCounters adds how many processes wait, how many rows are stored, and the
// series of the recording.
func (t *TraceFile) addCounters(pid int, r *Recording) {
	type step struct {
		at          time.Duration
		waits, rows int
	}
	var steps []step
	hasWriter := slices.ContainsFunc(r.Lanes, func(l Lane) bool { return isWriter(l) == 1 })
	for _, lane := range r.Lanes {
		for _, e := range lane.Events {
			if from, to := e.LockWait(); to > from {
				steps = append(steps, step{at: from, waits: 1}, step{at: to, waits: -1})
			}
			if e.Done() && e.Rows > 0 && hasWriter == (isWriter(lane) == 1) {
				steps = append(steps, step{at: e.End, rows: e.Rows})
			}
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	waits, rows := 0, 0
	for _, s := range steps {
		waits, rows = waits+s.waits, rows+s.rows
		if s.waits != 0 {
			t.add(traceEvent{Phase: "C", Name: "waiting", PID: pid, At: traceTime(s.at), Args: map[string]any{"processes": waits}})
		} else {
			t.add(traceEvent{Phase: "C", Name: "rows stored", PID: pid, At: traceTime(s.at), Args: map[string]any{"rows": rows}})
		}
	}
	for _, s := range r.Series {
		for i, at := range s.At {
			t.add(traceEvent{Phase: "C", Name: s.Name, PID: pid, At: traceTime(at), Args: map[string]any{"value": s.Values[i]}})
		}
	}
}
