package main

// The live page: contention --http shows the lanes growing while the trials run,
// contention watch --http those of any database.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"turnstile/internal/cli"
	"turnstile/internal/lab"
	"turnstile/internal/lab/report"
	"turnstile/internal/web"
)

// pageFlags are where a page is served.
type pageFlags struct {
	addr  string
	hosts []string
}

func addPageFlags(f *cli.Flags) *pageFlags {
	p := &pageFlags{}
	f.StringVar(&p.addr, "http", "", "show it on a live page at `ADDRESS`, such as 127.0.0.1:8090")
	f.StringSliceVar(&p.hosts, "http-host", nil, "let other machines see the page, under this `NAME` of this one")
	f.Advanced("http-host")
	return p
}

func (p *pageFlags) check() error {
	if len(p.hosts) > 0 && p.addr == "" {
		return cli.Usagef("add --http 0.0.0.0:8090", "--http-host is for --http")
	}
	return nil
}

var pageHints = map[web.AddressProblem]string{
	web.BadAddress:   "use HOST:PORT, such as --http 127.0.0.1:8090",
	web.NotLoopback:  "use --http 127.0.0.1:8090; or, to let everybody in the network see the page, add --http-host with the name or address of this machine",
	web.CannotListen: "is a page there already? use another port: --http 127.0.0.1:0",
	web.BadHost:      "use a name or an address without a port, such as --http-host lab.example",
}

// page is a page that is being served. A nil one shows nothing.
type page struct {
	hub    *web.Hub
	server *web.Server
	log    *slog.Logger
	served chan error // receives once, when the server has stopped

	again   chan struct{} // somebody pressed "run again"
	running atomic.Bool
	config  web.ConfigMessage
	full    bool // no room for more of the current trial
}

// startPage serves a page until ctx ends. It returns nil if none was asked for.
func startPage(ctx context.Context, p *pageFlags, config web.ConfigMessage, canAgain bool, log *slog.Logger) (*page, error) {
	if p.addr == "" {
		return nil, nil
	}
	g := &page{hub: web.NewHub(), log: log, served: make(chan error, 1), again: make(chan struct{}, 1), config: config}
	o := web.Options{Addr: p.addr, Hosts: p.hosts, Events: g.hub, Log: log}
	if canAgain {
		o.Actions = map[string]func(context.Context) error{web.AgainAction: g.runAgain}
	}
	var err error
	if g.server, err = web.NewLabServer(o); err != nil {
		return nil, err
	}
	go func() {
		err := g.server.Serve(ctx)
		if err != nil {
			log.Error("the page has ended", "error", err)
		}
		g.served <- err
	}()
	return g, nil
}

var errRunning = errors.New("it is running")

// runAgain is the action of the button.
func (g *page) runAgain(context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return errRunning
	}
	g.again <- struct{}{}
	return nil
}

// begin begins a run: the page forgets the one before.
func (g *page) begin() {
	if g == nil {
		return
	}
	g.running.Store(true)
	g.hub.Reset()
	g.publish("config", g.config, true)
}

// publish puts a message on the page. A page that is full is no reason to end
// what it shows: it says so in the log.
func (g *page) publish(group string, message any, replace bool) bool {
	add := g.hub.Publish
	if replace {
		add = g.hub.Replace
	}
	err := add(group, message)
	if err != nil {
		g.log.Warn("not on the page", "what", group, "error", err)
	}
	return err == nil
}

func trialGroup(number int) string { return fmt.Sprint("trial ", number) }

// live shows what the processes of a trial have done since the last call.
func (g *page) live(l lab.Live) {
	text := fmt.Sprintf("Trial %d of %d: %s. %d rows ended, %.1f s.", l.Trial, l.Trials, l.Setting, l.Rows, l.Since.Seconds())
	g.publish("progress", web.NewProgressMessage(text), true)
	if l.First {
		g.full = false
	}
	if !g.full {
		g.full = !g.publish(trialGroup(l.Trial), web.NewRecordingMessage(l.Trial, !l.First, l.Recording), l.First)
	}
}

// done shows a trial that is over, and the result so far.
func (g *page) done(number int, t report.Trial, r report.Report) {
	if t.Recording != nil {
		g.publish(trialGroup(number), web.NewRecordingMessage(number, false, *t.Recording), true)
	}
	g.publish("result", web.NewResultMessage(r.Summary()), true)
}

// end says that the run is over, and why.
func (g *page) end(text string) {
	if g == nil {
		return
	}
	g.running.Store(false) // first: the message lets the reader press "run again"
	g.publish("end", web.NewEndMessage(text), true)
}

// runAll runs once, and again each time somebody asks for it, until ctx ends. An
// error of a run ends it, because the page would hide that.
func (g *page) runAll(ctx context.Context, env cli.Env, run func() error) error {
	fmt.Fprintf(env.Stderr, "The page is at %s\n", g.server.URL())
	for {
		g.begin()
		if err := run(); err != nil {
			return err
		}
		g.end("The run is over.")
		fmt.Fprintf(env.Stderr, "\nThe page stays at %s until Ctrl-C.\n", g.server.URL())
		select {
		case <-g.again:
		case err := <-g.served: // ctx has ended, or the server has failed
			return err
		}
	}
}

// showLab lets a lab show its trials on the page.
func (g *page) showLab(l *lab.Lab, r report.Report) {
	if g == nil {
		return
	}
	l.Live = g.live
	l.Done = func(number int, t report.Trial) {
		r.Trials = append(slices.Clip(r.Trials), t)
		g.done(number, t, r)
	}
}
