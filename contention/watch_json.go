package main

// What contention watch tells a program.

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
)

type watchDoc struct {
	File    string         `json:"file"`
	At      time.Time      `json:"at"`
	Mode    string         `json:"journal_mode"`
	Visible bool           `json:"visible"`
	Locks   []watchLock    `json:"locks"`
	Open    []watchProcess `json:"open"`
	Note    string         `json:"note"`

	stopped map[int]bool // of those above
}

type watchLock struct {
	PID     int        `json:"pid"`
	Command string     `json:"command"`
	Lock    locks.Name `json:"lock"`
	SeenMS  int64      `json:"seen_ms"`
}

type watchProcess struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// newWatchDoc adds to the locks what takes a look at all processes.
func newWatchDoc(file string, w *locks.Watcher, v locks.View, at time.Time) watchDoc {
	d := watchDoc{
		File: file, At: at, Mode: v.Mode, Visible: v.Visible,
		Locks: []watchLock{}, Open: []watchProcess{}, stopped: map[int]bool{},
	}
	notes := v.Notes
	for _, l := range v.Locks {
		d.Locks = append(d.Locks, watchLock{l.PID, l.Command, l.Name, at.Sub(l.Since).Milliseconds()})
		if locks.Stopped(l.PID) && !d.stopped[l.PID] {
			d.stopped[l.PID] = true
			notes = append(notes, fmt.Sprintf("%d holds a lock and is stopped: it lets go of nothing until it goes on (kill -CONT %d) or ends", l.PID, l.PID))
		}
	}
	open, barred := w.Open(v.Locks)
	for _, p := range open {
		d.Open = append(d.Open, watchProcess{p.PID, p.Command})
		d.stopped[p.PID] = p.Stopped
	}
	if barred > 0 {
		notes = append(notes, fmt.Sprintf("who has the file open can't be told of %d processes of other users (root can)", barred))
	}
	d.Note = strings.Join(notes, "; ")
	return d
}

type watchHold struct {
	PID     int        `json:"pid"`
	Command string     `json:"command"`
	Lock    locks.Name `json:"lock"`
	From    time.Time  `json:"from"`
	Until   time.Time  `json:"until"`
	SeenMS  int64      `json:"seen_ms"`
	Changes int        `json:"changes"`
	Ended   bool       `json:"ended"`
}

type watchSummary struct {
	File        string       `json:"file"`
	From        time.Time    `json:"from"`
	Until       time.Time    `json:"until"`
	IntervalMS  float64      `json:"interval_ms"`
	Samples     int          `json:"samples"`
	GapMS       int64        `json:"longest_gap_ms"`
	WriteLocked float64      `json:"write_locked"`
	Processes   []watchTotal `json:"processes"`
	Interrupted bool         `json:"interrupted"`
}

type watchTotal struct {
	PID       int         `json:"pid"`
	Command   string      `json:"command"`
	Lock      locks.Name  `json:"lock"`
	Class     locks.Class `json:"class"`
	Share     float64     `json:"share"`
	Holds     int         `json:"holds"`
	LongestMS int64       `json:"longest_ms"`
}

func newWatchSummary(file string, interval time.Duration, s locks.Summary, interrupted bool) watchSummary {
	d := watchSummary{
		File: file, From: s.From, Until: s.Until, IntervalMS: float64(interval) / float64(time.Millisecond),
		Samples: s.Samples, GapMS: s.LongestGap.Milliseconds(), WriteLocked: share(s.WriteLocked, s.Samples),
		Processes: []watchTotal{}, Interrupted: interrupted,
	}
	for _, t := range s.Totals {
		d.Processes = append(d.Processes, watchTotal{
			t.PID, t.Command, t.Lock, t.Class, share(t.Samples, s.Samples), t.Holds, t.Longest.Milliseconds(),
		})
	}
	return d
}

// share is a part of all, to four digits.
func share(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(part*10000/all) / 10000
}

// line writes one document on one line.
func (o watchOutput) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return o.write(string(text) + "\n")
}

// look shows what --once saw.
func (o watchOutput) look(d watchDoc) error {
	if o.config.format == "json" {
		return cli.WriteJSON(o.env.Stdout, d)
	}
	return o.write(watchText(d, o.colour))
}

// begin shows the first look of many.
func (o watchOutput) begin(d watchDoc) error {
	if o.config.format == "json" {
		return o.line(d)
	}
	return o.write(watchText(d, o.colour) + fmt.Sprintf(
		"\nLooking every %s. Locks held for %s or more follow; Ctrl-C ends with a summary.\n\n", o.config.interval, leastHold))
}

// note says what has changed about what can be seen.
func (o watchOutput) note(at time.Time, note string) error {
	if o.config.format == "json" {
		return o.line(map[string]string{"note": note})
	}
	return o.event(at, note)
}

// hold shows a lock that is held for long, or was. Who waits for it is asked
// only where it is shown.
func (o watchOutput) hold(at time.Time, h locks.Hold, waiting func() []locks.Process) error {
	if o.config.format == "json" {
		return o.line(map[string]watchHold{"hold": {
			h.PID, h.Command, h.Lock, h.From, h.Until, h.Seen().Milliseconds(), h.Changes, h.Ended,
		}})
	}
	return o.event(at, holdText(h, waiting))
}

func (o watchOutput) summary(s locks.Summary, interrupted bool) error {
	d := newWatchSummary(o.config.file, o.config.interval, s, interrupted)
	if o.config.format == "json" {
		return o.line(map[string]watchSummary{"summary": d})
	}
	o.clear()
	return o.write(summaryText(d))
}
