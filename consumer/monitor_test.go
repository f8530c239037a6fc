package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"turnstile/internal/cli"
	"turnstile/internal/ingest"
	"turnstile/internal/mta"
	"turnstile/internal/stream"
)

// A writer whose database is locked or full is not ready, and is healthy: a restart
// would not help.
func TestReadyOnlyIfItCanStore(t *testing.T) {
	m, _ := startMonitor(t, filepath.Join(t.TempDir(), "rides.db"))
	locked := errors.New("database is locked (5) (SQLITE_BUSY)")
	commit := ingest.Commit{Batch: &mta.Batch{Parts: []mta.Part{{Source: "a.csv"}}}, Outcomes: []mta.Outcome{{Stored: 1}}}
	for _, step := range []struct {
		name, text string
		do         func()
		status     int
	}{
		{"it can't open the database", "cannot store: " + locked.Error(), func() { m.cannotStore(locked) }, http.StatusAccepted},
		{"it is the writer", "consuming", func() { m.writing(new(stream.Reader), new(writer)) }, http.StatusOK},
		{"it can't write", "cannot store: " + locked.Error(), func() { m.retry(locked) }, http.StatusAccepted},
		{"it writes again", "consuming", func() { m.stored(commit) }, http.StatusOK},
	} {
		step.do()
		if status, text := m.view().describe(); status != step.status || text != step.text {
			t.Errorf("%s: %d %q, want %d %q", step.name, status, text, step.status, step.text)
		}
	}
}

// contention watch sees no other container from within docker-compose's lab.
func TestWatchCommand(t *testing.T) {
	t.Setenv("TURNSTILE_RUN", "")
	if got := watchCommand("a.db"); got != "contention watch a.db" {
		t.Error(got)
	}
	t.Setenv("TURNSTILE_RUN", "docker-compose run --rm")
	full, err := filepath.Abs("a.db")
	if err != nil {
		t.Fatal(err)
	}
	got := cli.Typeable(watchCommand("a.db"))
	if !strings.Contains(got, "--volumes-from "+hostname(t)+" ") || !strings.HasSuffix(got, " --entrypoint contention turnstile watch "+full) {
		t.Error(got)
	}
}
