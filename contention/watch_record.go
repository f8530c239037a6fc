package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
)

const (
	// maxRecorded bounds the long holds, the short holds, the notes and each
	// series of a recording. At least so many of the newest are kept, and at most
	// twice as many.
	maxRecorded = 10_000
	// saveInterval is how often the file is replaced. A kill -9 loses what came
	// after.
	saveInterval = 10 * time.Second
	// seriesInterval is the least time between two values of a series.
	seriesInterval = time.Second
)

// recorder keeps the newest holds and writes them to a file, so that a watch that
// runs all the time answers who held the lock in the night. Holds of minHold or
// more are kept apart from shorter ones: a stream of short transactions must not
// push out the one long hold that mattered.
type recorder struct {
	file    string // "": none, the recording is for a page
	title   string
	zero    time.Time
	saved   time.Time
	tracker *locks.Tracker // of all holds, however short

	long, short    newest[locks.Hold]
	notes          newest[report.Note]
	walBytes, pins walSeries
}

func newRecorder(file, database string, now time.Time) *recorder {
	return &recorder{file: file, title: "watch " + database, zero: now, saved: now, tracker: locks.NewTracker(0)}
}

// add adds a look, and saves the file now and then.
func (r *recorder) add(now time.Time, v locks.View) error {
	if r == nil {
		return nil
	}
	for _, h := range r.tracker.Add(now, v.Locks, v.Changed) {
		if h.Ended {
			r.keep(h)
		}
	}
	if v.WAL != nil {
		r.walBytes.sample(now, v.WAL.Size)
		r.pins.sample(now, v.WAL.Bytes(v.WAL.Pinned()))
	}
	if r.file == "" || now.Sub(r.saved) < saveInterval {
		return nil
	}
	r.saved = now
	return r.save()
}

func (r *recorder) keep(h locks.Hold) {
	if h.Seen() >= minHold {
		r.long.add(h)
	} else {
		r.short.add(h)
	}
}

// note records what is said about one moment.
func (r *recorder) note(at time.Time, kind string, h *locks.Hold, text string) {
	if r == nil {
		return
	}
	n := report.Note{At: at.Sub(r.zero), Kind: kind, Text: text}
	if h != nil {
		n.Process = laneName(*h)
	}
	r.notes.add(n)
}

// save replaces the file. A reader finds the old one or the new one, whole.
func (r *recorder) save() error {
	if r == nil || r.file == "" {
		return nil
	}
	text, err := json.Marshal(r.recording())
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(r.file), filepath.Base(r.file)+".new-")
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), r.file)
	}
	if err != nil {
		return fmt.Errorf("write the recording: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// recording is all that is kept, with a lane for each process and purpose.
func (r *recorder) recording() report.Recording {
	rec := r.since(recorded{})
	if n := r.long.dropped + r.short.dropped; n > 0 {
		text := fmt.Sprintf("%d older holds were dropped, %d of them of %s or more", n, r.long.dropped, minHold)
		rec.Notes = append(rec.Notes, report.Note{Kind: "info", Text: text})
	}
	return rec
}

// recorded is how much a recorder had added at some moment.
type recorded struct{ long, short, notes, walBytes, pins int }

func (r *recorder) recorded() recorded {
	return recorded{r.long.added(), r.short.added(), r.notes.added(), r.walBytes.added(), r.pins.added()}
}

// since is what is kept of all that was added after a moment, and the locks that
// are held now.
func (r *recorder) since(at recorded) report.Recording {
	rec := report.Recording{
		Version: report.RecordingVersion, Source: "watch", Title: r.title, Zero: r.zero,
		Lanes: []report.Lane{}, Notes: slices.Clone(r.notes.after(at.notes)), Series: []report.Series{},
	}
	holds := slices.Concat(r.long.after(at.long), r.short.after(at.short), r.tracker.Current())
	slices.SortStableFunc(holds, func(a, b locks.Hold) int { return a.From.Compare(b.From) })
	index := map[string]int{}
	for _, h := range holds {
		key := laneName(h) + " " + h.Command // the system uses a PID again after a while
		i, ok := index[key]
		if !ok {
			i = len(rec.Lanes)
			index[key] = i
			rec.Lanes = append(rec.Lanes, report.Lane{Process: laneName(h), PID: h.PID, Command: h.Command, Events: []report.Event{}})
		}
		rec.Lanes[i].Events = append(rec.Lanes[i].Events, r.event(h))
	}
	if rec.Notes == nil {
		rec.Notes = []report.Note{}
	}
	for _, s := range []struct {
		name   string
		values []walSample
	}{{"wal_bytes", r.walBytes.after(at.walBytes)}, {"wal_pinned_bytes", r.pins.after(at.pins)}} {
		if len(s.values) > 0 {
			rec.Series = append(rec.Series, seriesOf(s.name, s.values, r.zero))
		}
	}
	return rec
}

// event is a hold in the schema of the lab. An observer does not see for how long
// a process waited, nor how many rows it wrote.
func (r *recorder) event(h locks.Hold) report.Event {
	from, until := h.From.Sub(r.zero), h.Until.Sub(r.zero)
	return report.Event{Ready: from, Wants: from, Begun: from, Released: until, End: until, Unfinished: !h.Ended, Lock: string(h.Mostly())}
}

// laneName tells apart the locks that one process can hold at a time.
func laneName(h locks.Hold) string {
	name := strconv.Itoa(h.PID)
	if class := h.Lock.Class(); class != locks.Write {
		name += " " + string(class)
	}
	return name
}

// newest keeps the newest values, in the order in which they were added.
type newest[T any] struct {
	all     []T
	dropped int
}

func (n *newest[T]) add(v T) {
	n.all = append(n.all, v)
	if len(n.all) >= 2*maxRecorded { // rarely, so that copying costs little
		n.dropped += len(n.all) - maxRecorded
		n.all = append(n.all[:0], n.all[len(n.all)-maxRecorded:]...)
	}
}

// added returns how many values were ever added.
func (n *newest[T]) added() int { return n.dropped + len(n.all) }

// after returns what is kept of the values after the first so many.
func (n *newest[T]) after(added int) []T { return n.all[max(0, added-n.dropped):] }

// walSeries is a size over time.
type walSeries struct{ newest[walSample] }

type walSample struct {
	at    time.Time
	bytes int64
}

// sample adds a size that differs from the last, at most one a second.
func (s *walSeries) sample(at time.Time, bytes int64) {
	if n := len(s.all); n > 0 && (s.all[n-1].bytes == bytes || at.Sub(s.all[n-1].at) < seriesInterval) {
		return
	}
	s.add(walSample{at, bytes})
}

func seriesOf(name string, values []walSample, zero time.Time) report.Series {
	d := report.Series{Name: name, At: []time.Duration{}, Values: []int64{}}
	for _, v := range values {
		d.At, d.Values = append(d.At, v.at.Sub(zero)), append(d.Values, v.bytes)
	}
	return d
}
