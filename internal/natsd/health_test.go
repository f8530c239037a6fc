package natsd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestQueueNeedsNoLogin asks a server whose configuration file defines users, in
// process and over HTTP.
func TestQueueNeedsNoLogin(t *testing.T) {
	c := config(t)
	c.File = file(t, "users.conf", "accounts { A { jetstream: enabled, users: [ {user: a, password: b} ] } }")
	s := running(t, c)
	monitor := strings.TrimPrefix(s.MonitorURL(), "http://")
	if _, err := s.Queue("S"); !isType[*NoStreamError](err) {
		t.Errorf("without a stream: %v", err)
	}
	if _, err := AskQueue(t.Context(), monitor, "S"); !isType[*NoStreamError](err) {
		t.Errorf("without a stream, over HTTP: %v", err)
	}
	nc := must(dial(s, nats.UserInfo("a", "b")))(t)
	t.Cleanup(nc.Close)
	js := must(jetstream.New(nc))(t)
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s"}, MaxBytes: 1 << 20, Metadata: map[string]string{"k": "v"},
	}))(t)
	must(js.Publish(t.Context(), "s", make([]byte, 1000)))(t)
	inside := must(s.Queue("S"))(t)
	outside := must(AskQueue(t.Context(), monitor, "S"))(t)
	for name, q := range map[string]Queue{"in process": inside, "over HTTP": outside} {
		if q.Messages != 1 || q.Bytes < 1000 || q.MaxBytes != 1<<20 || q.Metadata["k"] != "v" || q.Oldest <= 0 || q.Oldest > time.Minute || q.Clustered {
			t.Errorf("%s: %+v", name, q)
		}
	}
	if !inside.Leads {
		t.Error("the only server does not speak for the stream")
	}
	if err := s.Health(); err != nil {
		t.Error(err)
	}
}

func TestCheckHealth(t *testing.T) {
	s := running(t, config(t))
	monitor := strings.TrimPrefix(s.MonitorURL(), "http://")
	if err := CheckHealth(t.Context(), monitor); err != nil {
		t.Error(err)
	}
	if url, err := AskURL(t.Context(), monitor); url != s.URL() {
		t.Errorf("the URL is %s, %v, want %s", url, err, s.URL())
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.Health(); err == nil {
		t.Error("a stopped server calls itself healthy")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := CheckHealth(ctx, monitor); err == nil {
		t.Error("a stopped server is healthy")
	}
	if _, err := AskQueue(ctx, monitor, "S"); err == nil || isType[*NoStreamError](err) {
		t.Errorf("the queue of a stopped server: %v", err)
	}
}

// TestNotice gives a notice one report a second: x for a condition, . for none.
func TestNotice(t *testing.T) {
	for reports, want := range map[string]string{
		".....":                                "",
		"x....":                                "began",
		"x.....":                               "began",
		"x......":                              "began ended",
		"xxxxxxx":                              "began",
		"x......x":                             "began ended",
		strings.Repeat("x.", 60):               "began",
		"x......" + strings.Repeat("x", 22):    "began ended",
		"x......" + strings.Repeat("x", 24):    "began ended began",
		strings.Repeat("x......", 12):          "began ended began ended began ended",
		strings.Repeat("x", 100) + ".x......x": "began ended began",
	} {
		if got := noticed(Notice{}, reports); got != want {
			t.Errorf("%s: %s, want %s", reports, got, want)
		}
	}
	for reports, want := range map[string]string{"xxx..xxx..": "", "xxx.xxxx": "began"} {
		if got := noticed(Notice{After: 3 * time.Second}, reports); got != want {
			t.Errorf("%s, after 3 s: %s, want %s", reports, got, want)
		}
	}
}

func noticed(n Notice, reports string) string {
	var log bytes.Buffer
	n.Log, n.Began, n.Ended = slog.New(slog.NewTextHandler(&log, nil)), "began", "ended"
	now := time.Now()
	for _, r := range reports {
		now = now.Add(time.Second)
		var condition error
		if r == 'x' {
			condition = errors.New("x")
		}
		n.Report(condition, now)
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		level, _, _ := strings.Cut(strings.SplitAfter(line, "level=")[1], " ")
		what := strings.Fields(strings.SplitAfter(line, "msg=")[1])[0]
		if (level == "WARN") != (what == "began") {
			return "the wrong level: " + line
		}
		said = append(said, what)
	}
	return strings.Join(said, " ")
}
