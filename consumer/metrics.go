package main

// What /metrics shows. Counters change once per transaction; what the broker and the
// file system know is asked at each scrape.

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"turnstile/internal/about"
	"turnstile/internal/cli"
	"turnstile/internal/disk"
	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// metrics are those that the consumer counts itself. No label is a station, a source
// or a line: their number has no bound.
type metrics struct {
	registry     *prometheus.Registry
	rows         *prometheus.CounterVec // outcome
	rejects      *prometheus.CounterVec // reason
	transactions *prometheus.CounterVec // outcome
	size         prometheus.Histogram
	took         prometheus.Histogram
	endToEnd     prometheus.Histogram
	redelivered  prometheus.Counter
	takeovers    prometheus.Counter
	takeover     prometheus.Gauge
	lastCommit   prometheus.Gauge
}

// The classes of rejects.
const (
	rejectValue    = "value"    // a column has a value that it can't have
	rejectRecord   = "record"   // the record is not CSV, or has other fields than the header
	rejectConflict = "conflict" // differs from the stored row, or a constraint refuses it
	rejectForeign  = "foreign"  // a message that is not turnstile's
)

func newMetrics(ctx context.Context) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	f := promauto.With(m.registry)
	counters := func(name, help, label string, values ...string) *prometheus.CounterVec {
		c := f.NewCounterVec(prometheus.CounterOpts{Namespace: "turnstile", Name: name, Help: help}, []string{label})
		for _, v := range values {
			c.WithLabelValues(v) // a counter that is absent can't be compared with 0
		}
		return c
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Namespace: "turnstile", Name: name, Help: help, Buckets: buckets})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "turnstile", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Namespace: "turnstile", Name: name, Help: help})
	}
	m.rows = counters("rows_total", "Rows of committed transactions.", "outcome", "stored", "already_there", "rejected")
	m.rejects = counters("rejects_total", "Rejected rows by class.", "reason", rejectValue, rejectRecord, rejectConflict, rejectForeign)
	m.transactions = counters("transactions_total", "Write transactions. One that was rolled back is tried again.", "outcome", "committed", "rolled_back")
	m.size = histogram("transaction_rows", "Rows in a committed transaction.", 1, 10, 100, 1000, 10_000, 100_000)
	m.took = histogram("commit_duration_seconds", "Duration of a transaction, the wait for the lock included.", .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5)
	m.endToEnd = histogram("end_to_end_seconds", "Time from the arrival of a message at the broker until its rows are committed and acknowledged, by two clocks.",
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 60)
	m.redelivered = counter("redelivered_messages_total", "Received messages that had been delivered before.")
	m.takeovers = counter("takeovers_total", "How often this process became the writer after another one.")
	m.takeover = gauge("takeover_duration_seconds", "Time from getting the writer's lock to storing, in the last takeover.")
	m.lastCommit = gauge("last_commit_timestamp_seconds", "When the last transaction was committed; 0: none yet.")
	info := f.NewGaugeVec(prometheus.GaugeOpts{Namespace: "turnstile", Name: "build_info", Help: "Always 1; the labels are the versions."},
		[]string{"version", "goversion", "sqlite", "nats"})
	info.WithLabelValues(cli.Release(), runtime.Version(), about.SQLiteVersion(ctx), about.ModuleVersions()["github.com/nats-io/nats.go"]).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) add(c ingest.Commit) {
	var total mta.Outcome
	for i, o := range c.Outcomes {
		total = total.Add(o)
		m.addRejects(&c.Batch.Parts[i], o)
	}
	m.rows.WithLabelValues("stored").Add(float64(total.Stored))
	m.rows.WithLabelValues("already_there").Add(float64(total.AlreadyThere))
	m.rows.WithLabelValues("rejected").Add(float64(total.Rejected))
	m.transactions.WithLabelValues("committed").Inc()
	m.size.Observe(float64(total.Stored + total.AlreadyThere + total.Rejected))
	m.took.Observe(c.Took.Seconds())
	m.lastCommit.SetToCurrentTime()
}

func (m *metrics) addRejects(part *mta.Part, o mta.Outcome) {
	left := int64(o.Rejected)
	for i := range part.Rejects {
		r := &part.Rejects[i]
		class := rejectRecord
		switch {
		case part.Source == ingest.ForeignSource:
			class = rejectForeign
		case r.Column != "":
			class = rejectValue
		}
		m.rejects.WithLabelValues(class).Add(float64(r.Lines()))
		left -= r.Lines()
	}
	m.rejects.WithLabelValues(rejectConflict).Add(float64(max(0, left))) // the parser accepted these
}

// A timedDelivery is observed when it is acknowledged, after the commit.
type timedDelivery struct {
	*stream.Delivery
	m *metrics
}

func (m *metrics) watch(d *stream.Delivery) timedDelivery {
	if d.Redelivered() {
		m.redelivered.Inc()
	}
	return timedDelivery{d, m}
}

func (d timedDelivery) Ack() error {
	if at := d.Queued(); !at.IsZero() {
		d.m.endToEnd.Observe(max(0, time.Since(at).Seconds()))
	}
	return d.Delivery.Ack()
}

// A collector asks at each scrape. What it can't learn, because the broker does not
// answer, is absent.
type collector struct {
	monitor *monitor
	file    map[string]string // description of each file of the database, by suffix
}

// scrapeTimeout bounds what the broker may take to say what is in the queue.
const scrapeTimeout = time.Second

// Describe sends nothing: the metrics depend on the state.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	v := c.monitor.view()
	send := func(name, help string, kind prometheus.ValueType, value float64, labels prometheus.Labels) {
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, labels), kind, value)
	}
	gauge := func(name, help string, value float64) { send(name, help, prometheus.GaugeValue, value, nil) }
	gauge("turnstile_writer", "1 if this process writes to the database, 0 if it does not.", boolean(v.reader != nil))
	gauge("turnstile_broker_connected", "1 if there is a connection to the broker.", boolean(v.connected()))
	for suffix, name := range map[string]string{"": "turnstile_database_bytes", "-wal": "turnstile_wal_bytes"} {
		info, err := os.Stat(c.monitor.db + suffix)
		switch {
		case err == nil:
			gauge(name, "Size of the file "+c.file[suffix]+".", float64(info.Size()))
		case !errors.Is(err, fs.ErrNotExist):
			c.monitor.log.Debug("size of the database", "error", err)
		}
	}
	if free, _, err := disk.Space(filepath.Dir(c.monitor.db)); err == nil {
		gauge("turnstile_database_disk_free_bytes", "Bytes that can still be written to the disk of the database.", float64(free))
	} else if !errors.Is(err, fs.ErrNotExist) { // its folder is made with it
		c.monitor.log.Debug("free space of the disk", "error", err)
	}
	if v.conn == nil {
		return
	}
	send("turnstile_broker_reconnects_total", "How often the connection to the broker was lost and made again.", prometheus.CounterValue, float64(v.conn.Reconnects()), nil)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	q, err := v.conn.Queue(ctx)
	if err != nil {
		c.monitor.log.Debug("state of the queue", "error", err)
		return
	}
	// The names are those of prometheus-nats-exporter, so that its dashboards and
	// alerts work.
	ofStream := prometheus.Labels{"stream_name": stream.Name}
	for name, value := range map[string]uint64{
		"total_messages": q.Messages, "total_bytes": q.Bytes, "first_seq": q.FirstSequence, "last_seq": q.LastSequence,
	} {
		send("jetstream_stream_"+name, "Of the stream: "+name+".", prometheus.GaugeValue, float64(value), ofStream)
	}
	gauge("turnstile_queue_bytes_limit", "How many bytes the queue takes before it is full.", float64(q.MaxBytes))
	gauge("turnstile_queue_oldest_seconds", "Age of the oldest message in the queue.", q.Oldest.Seconds())
	if v.reader == nil {
		return
	}
	state, err := v.reader.State(ctx)
	if err != nil {
		c.monitor.log.Debug("state of the reader", "error", err)
		return
	}
	ofConsumer := prometheus.Labels{"stream_name": stream.Name, "consumer_name": state.Consumer}
	for name, value := range map[string]uint64{
		"num_pending": state.Pending, "num_ack_pending": state.Unacknowledged, "num_redelivered": state.Redelivered, "ack_floor_stream_seq": state.AckFloor,
	} {
		send("jetstream_consumer_"+name, "Of the consumer: "+name+".", prometheus.GaugeValue, float64(value), ofConsumer)
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
