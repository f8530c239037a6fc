package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/natsd/natsdtest"
	"turnstile/internal/stream"
)

// startMonitor returns a monitor that is connected to a new broker.
func startMonitor(t *testing.T, path string) (*monitor, *stream.Conn) {
	t.Helper()
	b := natsdtest.Start(t, func(ctx context.Context, nc *nats.Conn) error { return stream.Ensure(ctx, nc, 64<<20, 1) })
	conn, err := stream.Connect(t.Context(), stream.Config{Servers: b.URL(), Name: "monitor", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m := newMonitor(t.Context(), path, slog.New(slog.DiscardHandler))
	m.change(func(v *view) { v.conn = conn })
	return m, conn
}

// TestMetrics takes a commit of every outcome, and the state of a real queue.
func TestMetrics(t *testing.T) {
	db, err := openWriter(t.Context(), filepath.Join(t.TempDir(), "rides.db"), slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m, conn := startMonitor(t, db.Path())
	reader, err := conn.Reader(t.Context(), stream.ReaderOptions{Database: db})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	m.writing(reader, db)
	m.add(ingest.Commit{Took: 3 * time.Millisecond, Batch: &mta.Batch{Parts: []mta.Part{
		{Source: "a.csv", Rejects: []mta.Reject{{Line: 2, Column: "ridership"}, {Line: 3, Last: 7}}},
		{Source: ingest.ForeignSource, Rejects: []mta.Reject{{Line: 1}}},
	}}, Outcomes: []mta.Outcome{{Stored: 10, AlreadyThere: 20, Rejected: 8}, {Rejected: 1}}})

	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	var text string
	for late := time.Now().Add(time.Minute); !strings.Contains(text, "jetstream_consumer_") && time.Now().Before(late); {
		// A broker that takes longer than scrapeTimeout says nothing this time.
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text = answer.Body.String()
	}
	for _, want := range []string{
		`turnstile_rows_total{outcome="stored"} 10`, `turnstile_rows_total{outcome="already_there"} 20`, `turnstile_rows_total{outcome="rejected"} 9`,
		`turnstile_rejects_total{reason="value"} 1`, `turnstile_rejects_total{reason="record"} 5`,
		`turnstile_rejects_total{reason="conflict"} 2`, `turnstile_rejects_total{reason="foreign"} 1`,
		`turnstile_transaction_rows_count 1`, `turnstile_commit_duration_seconds_sum 0.003`,
		`turnstile_writer 1`, `turnstile_broker_connected 1`, `turnstile_queue_bytes_limit 6.7108864e+07`,
		`jetstream_stream_total_messages{stream_name="MTA"} 0`, `jetstream_consumer_num_pending{consumer_name="writer-1",stream_name="MTA"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if !regexp.MustCompile(`\nturnstile_database_disk_free_bytes [1-9]`).MatchString(text) {
		t.Error("no free space of the disk")
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestAlerts checks the alert rules by promtool, and that the metrics in them exist.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\b(?:turnstile|jetstream_stream|jetstream_consumer)_\w+`).FindAllString(string(rules), -1) {
		short := regexp.MustCompile(`^(turnstile|jetstream_stream|jetstream_consumer)_`).ReplaceAllString(name, "")
		if !strings.Contains(string(source), `"`+short+`"`) && !strings.Contains(string(source), `"`+name+`"`) {
			t.Errorf("an alert uses %s, which does not exist", name)
		}
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED: promtool (Debian: prometheus) is missing, so the alert rules are not tested")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "testdata/alerts.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
