package main

// The live page of contention watch: a lane for each process that holds a lock or
// has the file open, the size of the WAL, and what there is to say now.

import (
	"strconv"
	"time"

	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
	"turnstile/internal/screen"
	"turnstile/internal/web"
)

const (
	pageInterval   = 250 * time.Millisecond
	statusInterval = time.Second // of the text, for which watch looks who has the file open
	// wholeInterval is how often one message takes the place of all parts, so that
	// the page of a watch that runs for weeks does not grow.
	wholeInterval = time.Minute
)

// watchPage shows the recording of a watch on a page. A nil one shows nothing.
type watchPage struct {
	page     *page
	recorder *recorder
	sent     recorded       // of the recorder
	lanes    map[int]bool   // by PID: those that the page has
	open     []watchProcess // at the last status

	sentAt, statusAt, wholeAt time.Time
}

// add shows a look, if the last one was shown long enough ago.
func (p *watchPage) add(now time.Time, f *follower, v locks.View) {
	if p == nil || now.Sub(p.sentAt) < pageInterval {
		return
	}
	p.sentAt = now
	if now.Sub(p.statusAt) >= statusInterval {
		p.statusAt = now
		p.status(newWatchDoc(f.out.config.file, f.w, v, now), f.tracker.Current())
	}
	whole := now.Sub(p.wholeAt) >= wholeInterval
	if !whole {
		part := p.withOpeners(p.recorder.since(p.sent))
		whole = !p.page.publish("recording", web.NewRecordingMessage(1, true, part), false)
	}
	if whole {
		p.wholeAt, p.lanes = now, map[int]bool{}
		p.page.publish("recording", web.NewRecordingMessage(1, false, p.withOpeners(p.recorder.recording())), true)
	}
	p.sent = p.recorder.recorded()
}

// withOpeners adds a lane for each process that has the file open and no lane.
func (p *watchPage) withOpeners(r report.Recording) report.Recording {
	for _, l := range r.Lanes {
		p.lanes[l.PID] = true
	}
	for _, o := range p.open {
		if !p.lanes[o.PID] {
			p.lanes[o.PID] = true
			r.Lanes = append(r.Lanes, report.Lane{Process: strconv.Itoa(o.PID), PID: o.PID, Command: o.Command, Events: []report.Event{}})
		}
	}
	return r
}

// status shows what holds now: the text of watch --once.
func (p *watchPage) status(d watchDoc, current []locks.Hold) {
	for _, h := range current {
		d.extend(h)
	}
	p.page.publish("status", web.NewStatusMessage(watchText(d, screen.Paint{})), true)
	p.open = d.Open
}
