package main

// The JSON documents of contention watch.

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"turnstile/internal/cli"
	"turnstile/internal/locks"
)

// watchDoc is what there is to see at one moment.
type watchDoc struct {
	File    string         `json:"file"`
	At      time.Time      `json:"at"`
	Mode    string         `json:"journal_mode"`
	Visible bool           `json:"visible"`
	Locks   []watchLock    `json:"locks"`
	Open    []watchProcess `json:"open"`
	WAL     *watchWAL      `json:"wal"`
	Unseen  []string       `json:"unseen"`
	Note    string         `json:"note"`

	until time.Time // of the last look
}

type watchProcess struct {
	PID       int         `json:"pid"`
	Command   string      `json:"command"`
	User      string      `json:"user"`
	State     locks.State `json:"state"`
	Started   *time.Time  `json:"started"`
	Container string      `json:"container"`
	InnerPID  int         `json:"inner_pid"`
}

func newWatchProcess(p locks.Process) watchProcess {
	d := watchProcess{PID: p.PID, Command: p.Command, User: p.User, State: p.State, Container: p.Container, InnerPID: p.InnerPID}
	if !p.Started.IsZero() {
		d.Started = new(p.Started.Round(10 * time.Millisecond)) // as exact as the kernel tells it
	}
	return d
}

type watchLock struct {
	watchProcess
	Lock    locks.Name `json:"lock"`
	Idle    bool       `json:"idle"`
	SeenMS  int64      `json:"seen_ms"`
	Changes int        `json:"changes"`
}

type watchWAL struct {
	Bytes        int64         `json:"bytes"`
	PageSize     int           `json:"page_size"`
	Frames       uint32        `json:"frames"`
	Copied       uint32        `json:"copied"`
	PinnedFrames uint32        `json:"pinned_frames"`
	PinnedBytes  int64         `json:"pinned_bytes"`
	Readers      []watchReader `json:"readers"`
}

type watchReader struct {
	PID          int       `json:"pid"`
	Command      string    `json:"command"`
	Since        time.Time `json:"since"`
	PinnedFrames uint32    `json:"pinned_frames"`
	PinnedBytes  int64     `json:"pinned_bytes"`
}

func newWatchWAL(w *locks.WALState) *watchWAL {
	if w == nil {
		return nil
	}
	d := &watchWAL{
		Bytes: w.Size, PageSize: w.PageSize, Frames: w.Frames, Copied: w.Copied,
		PinnedFrames: w.Pinned(), PinnedBytes: w.Bytes(w.Pinned()), Readers: []watchReader{},
	}
	for _, r := range w.Readers {
		d.Readers = append(d.Readers, watchReader{r.PID, r.Command, r.Since, r.Pinned, w.Bytes(r.Pinned)})
	}
	return d
}

// newWatchDoc adds what takes a look at all processes.
func newWatchDoc(file string, w *locks.Watcher, v locks.View, at time.Time) watchDoc {
	d := watchDoc{
		File: file, At: at, until: at, Mode: v.Mode, Visible: v.Visible,
		Locks: []watchLock{}, Open: []watchProcess{}, WAL: newWatchWAL(v.WAL), Unseen: append([]string{}, v.Unseen...),
	}
	for _, l := range v.Locks {
		p := locks.Describe(l.PID)
		p.Command = l.Command
		d.Locks = append(d.Locks, watchLock{watchProcess: newWatchProcess(p), Lock: l.Name, Idle: l.Idle, SeenMS: at.Sub(l.Since).Milliseconds()})
	}
	notes := append(append([]string{}, v.Notes...), v.Unseen...)
	open, unreadable := w.Open(v.Locks)
	for _, p := range open {
		d.Open = append(d.Open, newWatchProcess(p))
	}
	if unreadable > 0 {
		notes = append(notes, fmt.Sprintf("%d processes of other users may have the file open: only root can see that", unreadable))
	}
	d.Note = strings.Join(notes, "; ")
	return d
}

// extend adds what later samples told about a lock.
func (d *watchDoc) extend(h locks.Hold) {
	for i := range d.Locks {
		l := &d.Locks[i]
		if l.PID == h.PID && l.Lock.Class() == h.Lock.Class() {
			l.SeenMS, l.Changes, l.Idle = max(l.SeenMS, h.Seen().Milliseconds()), h.Changes, h.Idle()
		}
	}
}

type watchHold struct {
	PID     int          `json:"pid"`
	Command string       `json:"command"`
	Lock    locks.Name   `json:"lock"`
	From    time.Time    `json:"from"`
	Until   time.Time    `json:"until"`
	SeenMS  int64        `json:"seen_ms"`
	Changes int          `json:"changes"`
	Ended   bool         `json:"ended"`
	Idle    bool         `json:"idle"`
	Stages  []watchStage `json:"stages"`
	Open    []int        `json:"open"`
}

type watchStage struct {
	Lock   locks.Name `json:"lock"`
	SeenMS int64      `json:"seen_ms"`
}

func newWatchHold(h locks.Hold, open []locks.Process) watchHold {
	d := watchHold{
		PID: h.PID, Command: h.Command, Lock: h.Lock, From: h.From, Until: h.Until, SeenMS: h.Seen().Milliseconds(),
		Changes: h.Changes, Ended: h.Ended, Idle: h.Idle(), Stages: []watchStage{}, Open: []int{},
	}
	for _, s := range h.Stages {
		d.Stages = append(d.Stages, watchStage{s.Lock, s.Seen.Milliseconds()})
	}
	for _, p := range waiters(h, open) {
		d.Open = append(d.Open, p.PID)
	}
	return d
}

type watchSummary struct {
	File        string           `json:"file"`
	From        time.Time        `json:"from"`
	Until       time.Time        `json:"until"`
	IntervalMS  float64          `json:"interval_ms"`
	Samples     int              `json:"samples"`
	GapMS       int64            `json:"longest_gap_ms"`
	MissedMS    int64            `json:"missed_ms"`
	WriteLocked float64          `json:"write_locked"`
	Processes   []watchTotal     `json:"processes"`
	Open        []watchProcess   `json:"open"`
	WAL         *watchWALSummary `json:"wal"`
	Alerts      int              `json:"alerts"`
	Interrupted bool             `json:"interrupted"`
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

// watchWALSummary names the reader that pinned the most.
type watchWALSummary struct {
	BytesBefore  int64  `json:"bytes_before"`
	BytesAfter   int64  `json:"bytes_after"`
	PinnedFrames uint32 `json:"pinned_frames"`
	PinnedBytes  int64  `json:"pinned_bytes"`
	PID          int    `json:"pid"`
	Command      string `json:"command"`
}

func newWatchSummary(file string, interval time.Duration, s locks.Summary, interrupted bool) watchSummary {
	d := watchSummary{
		File: file, From: s.From, Until: s.Until, IntervalMS: float64(interval) / float64(time.Millisecond),
		Samples: s.Samples, GapMS: s.LongestGap.Milliseconds(), WriteLocked: share(s.WriteLocked, s.Samples),
		Processes: []watchTotal{}, Open: []watchProcess{}, Interrupted: interrupted,
	}
	for _, t := range s.Totals {
		d.Processes = append(d.Processes, watchTotal{
			t.PID, t.Command, t.Lock, t.Class, share(t.Samples, s.Samples), t.Holds, t.Longest.Milliseconds(),
		})
	}
	return d
}

// share is a part of a whole, with four digits.
func share(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(part*10000/all) / 10000
}

// line writes one document on one line.
func (o *watchOutput) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return o.write(string(text) + "\n")
}

// look shows what --once saw.
func (o *watchOutput) look(d watchDoc) error {
	if o.config.format == "json" {
		return cli.WriteJSON(o.env.Stdout, d)
	}
	return o.write(watchText(d, o.paint) + onceAdvice(d, o.paint))
}

// begin shows the first look of many.
func (o *watchOutput) begin(d watchDoc) error {
	if o.config.format == "json" {
		return o.line(d)
	}
	ends := "Ctrl-C ends with a summary"
	if o.config.duration > 0 {
		ends = fmt.Sprintf("ends with a summary after %s", o.config.duration)
	}
	return o.write(watchText(d, o.paint) + "\n" + o.paint.Fit("", "", fmt.Sprintf(
		"Looking every %s. Locks held for %s or more follow; %s.", o.config.interval, minHold, ends)) + "\n")
}

// note reports anything that is not a lock.
func (o *watchOutput) note(at time.Time, note string) error {
	if o.config.format == "json" {
		return o.line(map[string]string{"note": note})
	}
	return o.event(at, note)
}

// hold reports a lock that is held for long, or was. open is who may be waiting.
func (o *watchOutput) hold(at time.Time, h locks.Hold, open []locks.Process) error {
	if o.config.format == "json" {
		return o.line(map[string]watchHold{"hold": newWatchHold(h, open)})
	}
	return o.fold(at, h, open)
}

// alert reports a lock that is held for longer than it should be.
func (o *watchOutput) alert(at time.Time, h locks.Hold, open []locks.Process) error {
	if o.config.format == "json" {
		return o.line(map[string]watchHold{"alert": newWatchHold(h, open)})
	}
	return o.event(at, o.paint.Red("ALERT")+" "+alertText(h, open))
}

func (o *watchOutput) summary(s watchSummary) error {
	if o.config.format == "json" {
		return o.line(map[string]watchSummary{"summary": s})
	}
	if err := o.endFolds(); err != nil {
		return err
	}
	o.clear()
	return o.write(summaryText(s, o.paint))
}
