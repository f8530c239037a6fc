package main

// consumer --http: health for whoever restarts processes, and metrics.

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"turnstile/internal/ingest"
	"turnstile/internal/store"
	"turnstile/internal/stream"
	"turnstile/internal/web"
)

// A monitor knows what this consumer does at the moment.
type monitor struct {
	*metrics
	db  string
	log *slog.Logger

	mu sync.Mutex // guards v
	v  view
}

// A view is what the consumer does.
type view struct {
	conn    *stream.Conn   // nil: it has not reached the broker yet
	holder  store.Holder   // of the writer's lock, while this process stands by
	standby bool           // another process holds the writer's lock
	reader  *stream.Reader // not nil: it is the writer
	failing error          // why the database can't be opened or written to, until it can
}

func (v view) connected() bool { return v.conn != nil && v.conn.Connected() }

func newMonitor(ctx context.Context, db string, log *slog.Logger) *monitor {
	m := &monitor{metrics: newMetrics(ctx), db: db, log: log}
	m.registry.MustRegister(&collector{m, map[string]string{"": "of the database", "-wal": "-wal, the write-ahead log"}})
	return m
}

func (m *monitor) view() view {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.v
}

func (m *monitor) change(f func(*view)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.v)
}

// standingBy is called while another process holds the writer's lock.
func (m *monitor) standingBy(h store.Holder) {
	m.change(func(v *view) { v.standby, v.holder = true, h })
}

// writing is called once this process is the writer and can store rows.
func (m *monitor) writing(reader *stream.Reader, db *writer) {
	m.change(func(v *view) { v.standby, v.reader, v.failing = false, reader, nil })
	if db.waited {
		m.takeovers.Inc()
		m.takeover.Set(time.Since(db.since).Seconds())
	}
}

// cannotStore is called for each transient error of the database.
func (m *monitor) cannotStore(err error) {
	m.change(func(v *view) { v.standby, v.failing = false, err })
}

// retry counts a transaction that was rolled back, and reports whether it makes sense
// to try it again.
func (m *monitor) retry(err error) bool {
	m.transactions.WithLabelValues("rolled_back").Inc()
	m.cannotStore(err)
	return store.IsTransient(err)
}

// stored counts a committed transaction.
func (m *monitor) stored(c ingest.Commit) {
	m.add(c)
	m.change(func(v *view) { v.failing = nil })
}

// serve listens on an address and answers in the background, until ctx ends.
func (m *monitor) serve(ctx context.Context, addr string, hosts []string) error {
	server, err := web.NewServer(web.Options{Addr: addr, Hosts: hosts, Log: m.log, Data: map[string]http.Handler{
		"metrics": promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}),
		"healthz": http.HandlerFunc(m.health),
		"readyz":  http.HandlerFunc(m.ready),
	}})
	if err != nil {
		return err
	}
	m.log.Info("serving health and metrics", "health", server.URL()+"healthz", "metrics", server.URL()+"metrics")
	go func() {
		if err := server.Serve(ctx); err != nil {
			m.log.Error("health and metrics are no longer served", "error", err)
		}
	}()
	return nil
}

// health answers 200 if this process stores rows or could take over, and 503 if it
// waits for the broker.
func (m *monitor) health(w http.ResponseWriter, _ *http.Request) {
	status, text := m.view().describe()
	answer(w, status != http.StatusServiceUnavailable, text)
}

// ready answers 200 if this process is the writer and can store rows.
func (m *monitor) ready(w http.ResponseWriter, _ *http.Request) {
	status, text := m.view().describe()
	answer(w, status == http.StatusOK, text)
}

// describe returns 200 for the writer, 202 for a hot standby or a writer that can't
// store, and 503.
func (v view) describe() (status int, text string) {
	switch {
	case v.conn == nil:
		return http.StatusServiceUnavailable, "waiting for the broker"
	case !v.connected():
		return http.StatusServiceUnavailable, "disconnected from the broker"
	case v.failing != nil: // a restart would not help
		return http.StatusAccepted, "cannot store: " + v.failing.Error()
	case v.reader != nil:
		return http.StatusOK, "consuming"
	case v.standby && holderState(v.holder).Halted():
		return http.StatusAccepted, fmt.Sprintf("standing by; the writer, %s, is stopped and keeps the lock", holderName(v.holder))
	case v.standby:
		return http.StatusAccepted, "standing by; the writer is " + holderName(v.holder)
	}
	return http.StatusAccepted, "taking over"
}

func answer(w http.ResponseWriter, ok bool, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, text) // to a client that may be gone
}
