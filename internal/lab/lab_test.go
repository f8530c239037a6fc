package lab

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"turnstile/internal/lab/report"
	"turnstile/internal/stream"
)

const ms = time.Millisecond

// TestEveryStrategyHasAStart: the list of strategies is in package report.
func TestEveryStrategyHasAStart(t *testing.T) {
	for _, name := range report.Names() {
		if starters[name] == nil {
			t.Errorf("%s is described, and not implemented", name)
		}
	}
	for name := range starters {
		if !slices.Contains(report.Names(), name) {
			t.Errorf("%s is implemented, and not described", name)
		}
	}
}

func TestEventSurvivesItsLine(t *testing.T) {
	for _, r := range []report.Event{
		{},
		{First: 7, Rows: 3, Ready: ms, Wants: 2 * ms, Begun: -1, Released: -1, End: 5 * ms, Task: ms, Code: 517},
		{First: math.MaxUint32, Rows: 1, Wants: -1, Begun: -1, End: time.Hour, Unfinished: true},
	} {
		got, err := parseEvent(bytes.TrimSuffix(appendEvent(nil, r), []byte("\n")))
		if err != nil || got != r {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
	for _, bad := range []string{"", "event 1", "event 1 2 3 4 5 6 7 8 9 x", "other 1 2 3 4 5 6 7 8 9 10"} {
		if _, err := parseEvent([]byte(bad)); err == nil {
			t.Errorf("%q is taken for an event", bad)
		}
	}
}

// TestFinishWritesTheLastLine: what a process does after its time is up is not
// reported.
func TestFinishWritesTheLastLine(t *testing.T) {
	var b bytes.Buffer
	r := newRecorder(&b, false, false)
	r.zero = time.Now()
	r.begin(2, 1, 0)
	if err := r.finish(1); err != nil {
		t.Fatal(err)
	}
	r.end(0)
	r.flush()
	out := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(out) != 2 || !strings.HasSuffix(out[0], " 1") || !strings.HasPrefix(out[1], "end 1 ") {
		t.Errorf("got %q", out)
	}
}

func TestRowsAreDistributedOnce(t *testing.T) {
	for _, k := range []int{1, 3} {
		s := report.Setting{Processes: 4, Rows: 5, PerTransaction: k}
		seen := map[row]bool{}
		for p := 1; p <= s.Processes; p++ {
			for n := range s.Rows {
				r := rowOf(s, p, n)
				if seen[r] {
					t.Fatalf("row %d twice", r)
				}
				seen[r] = true
				if op, on := ownerOf(s, r); op != p || on != n {
					t.Errorf("row %d of P%d is taken for row %d of P%d", n, p, on, op)
				}
				if n%k != 0 && r != rowOf(s, p, n-1)+1 {
					t.Errorf("rows of a transaction are not adjacent: %d", r)
				}
			}
		}
		for n := range s.Processes * s.Rows {
			if !seen[nthRow(s, n)] {
				t.Errorf("the queue has row %d, which no process has", nthRow(s, n))
			}
		}
	}
}

// TestHoldEndsWithTheTransaction: the lock is free when COMMIT or ROLLBACK has
// returned, and not only when the connection is closed.
func TestHoldEndsWithTheTransaction(t *testing.T) {
	dir := t.TempDir()
	s := report.Setting{Strategy: "direct", Processes: 1, Rows: 2, PerTransaction: 1, Sync: "full", BusyTimeout: time.Second}
	if err := createDatabase(t.Context(), dir, s); err != nil {
		t.Fatal(err)
	}
	for name, fail := range map[string]error{"COMMIT": nil, "ROLLBACK": errors.New("no")} {
		n := len(name) - len("COMMIT") // a row of its own
		var out bytes.Buffer
		p := &process{job: job{Setting: s, Process: 1, Database: databasePath(dir)}, rec: newRecorder(&out, false, false)}
		p.rec.zero = time.Now()
		p.rec.begin(0, 1, 0)
		p.wants()
		db, err := p.connect()
		if err != nil {
			t.Fatal(err)
		}
		err = db.transaction("BEGIN", func() error {
			if err := db.insert(rowOf(s, 1, n)); err != nil {
				return err
			}
			p.hasLock()
			return fail
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		time.Sleep(5 * ms) // stands for closing the connection
		p.rec.end(0)
		if err := errors.Join(db.close(), p.rec.finish(1)); err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(out.String(), "\n")
		e, err := parseEvent([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if e.Begun < e.Wants || e.Released < e.Begun || e.End < e.Released+5*ms {
			t.Errorf("%s: the hold does not end with it: %+v", name, e)
		}
	}
}

func TestSpoolIsReadSeveralTimes(t *testing.T) {
	s, err := createSpool(t.TempDir(), "P1")
	if err != nil {
		t.Fatal(err)
	}
	const events = 5000 // more than a buffer
	for i := range events {
		line := appendEvent(nil, report.Event{First: i, Rows: 1, End: time.Duration(i) * ms})
		if err := s.add(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n := 0
		for e := range s.events() {
			if e.First != n || e.End != time.Duration(n)*ms {
				t.Fatalf("event %d is %+v", n, e)
			}
			n++
		}
		if n != events || s.err != nil {
			t.Errorf("%d of %d events, %v", n, events, s.err)
		}
	}
	if err := os.WriteFile(s.path, []byte("event 1 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range s.events() {
		t.Error("a damaged line is an event")
	}
	if s.err == nil {
		t.Error("a damaged line is passed over")
	}
}

// TestLongTrialDoesNotFillTheDisk: the queue of a trial of nine minutes has a
// few seconds' rows at its start, and is refilled while they are taken.
func TestLongTrialDoesNotFillTheDisk(t *testing.T) {
	s := report.Setting{Strategy: "consumers", Processes: 2, PerTransaction: 1, For: 9 * time.Minute, Sync: "full"}
	const ahead = 2000
	server, err := startBroker(t.Context(), t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := startFilling(t.Context(), server, s, ahead)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	state := func() jetstream.StreamState {
		q, err := js.Stream(t.Context(), stream.Name)
		if err != nil {
			t.Fatal(err)
		}
		return q.CachedInfo().State
	}
	// The state of the stream may be a moment behind what it has acknowledged.
	n := state().Msgs
	for late := time.Now().Add(time.Minute); n < ahead && time.Now().Before(late); n = state().Msgs {
		time.Sleep(10 * time.Millisecond)
	}
	if n != ahead {
		t.Errorf("the queue has %d rows, want %d", n, ahead)
	}
	consumer, err := js.Consumer(t.Context(), stream.Name, sharedConsumer)
	if err != nil {
		t.Fatal(err)
	}
	for taken := 0; taken <= ahead/2; {
		batch, err := consumer.Fetch(500)
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			taken++
			if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * ms) {
		got := state()
		if got.LastSeq > ahead && got.FirstSeq > 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the queue is not refilled: %+v", got)
		}
	}
	nc.Close()
	if err := errors.Join(stop(), server.Stop()); err != nil {
		t.Error(err)
	}
}

// TestFillingFailsForRefusedRows: the processes know a row by its sequence, so a row
// that the broker refuses must not be missing without a word.
func TestFillingFailsForRefusedRows(t *testing.T) {
	s := report.Setting{Strategy: "consumers", Processes: 2, PerTransaction: 1, For: time.Minute, Sync: "full"}
	server, err := startBroker(t.Context(), t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := stream.Ensure(t.Context(), nc, 10_000, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := startFilling(t.Context(), server, s, 2000); err == nil || !strings.Contains(err.Error(), "maximum bytes") {
		t.Errorf("a full queue: got %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}
