package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fixedRecording has something of everything that a recording may have.
func fixedRecording() Recording {
	return Recording{
		Version: RecordingVersion, Source: "watch", Title: "app.db", Zero: time.Date(2026, 11, 25, 3, 12, 0, 500e6, time.UTC),
		Lanes: []Lane{
			{Process: "5340", PID: 5340, Command: "python3 import.py", WaitsFor: WaitsForLock, Events: []Event{
				{Rows: 1, Ready: 0, Wants: 0, Begun: 2 * ms, Released: 302 * ms, End: 303 * ms, Task: 300 * ms, Lock: "reserved"},
				{First: 1, Rows: 1, Ready: 303 * ms, Wants: 304 * ms, Begun: -1, Released: -1, End: 804 * ms, Code: 5},
				{First: 2, Rows: 5, Ready: 700 * ms, Wants: 804 * ms, Begun: 805 * ms, Released: -1, End: 900 * ms, Unfinished: true, Lock: "exclusive"},
				{First: 9, Rows: 1, Ready: 910 * ms, Wants: -1, Begun: -1, Released: -1, End: 920 * ms},
			}},
			{Process: "idle", WaitsFor: WaitsForQueue, Events: []Event{}},
		},
		Notes:   []Note{{At: 250 * ms, Process: "5340", Kind: "alert", Text: "holds the lock for 250 ms"}},
		Series:  []Series{{Name: "wal_bytes", At: []time.Duration{0, 500 * ms}, Values: []int64{4152, 8272}}},
		Dropped: &Dropped{Events: 300_000, Until: 10 * time.Second, Waits: 1000},
	}
}

// TestRecordingFixture: the fixture is what other programs read.
func TestRecordingFixture(t *testing.T) {
	want := fixedRecording()
	var b bytes.Buffer
	if err := WriteJSON(&b, want); err != nil {
		t.Fatal(err)
	}
	golden(t, "recording.json", b.Bytes())
	var got Recording
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back:\n%+v\nwant\n%+v", got, want)
	}
}

func TestDamagedRecordingIsRefused(t *testing.T) {
	for _, events := range []string{
		`{"ready":[0],"wants":[0],"begun":[0],"released":[0],"end":[]}`,
		`{"ready":[0],"wants":[0],"begun":[0],"released":[0],"end":[1],"rows":[1,2]}`,
		`{"ready":[0],"wants":[0],"begun":[0],"released":[0],"end":[1],"unfinished":[1]}`,
	} {
		var lane Lane
		if err := json.Unmarshal([]byte(`{"process":"P1","events":`+events+`}`), &lane); err == nil {
			t.Errorf("%s is taken for a lane", events)
		}
	}
	var s Series
	if err := json.Unmarshal([]byte(`{"at":[1],"values":[]}`), &s); err == nil {
		t.Error("a series with a time and no value is accepted")
	}
}

// TestLargeTrialKeepsItsLongestWaits: of more events than the bound, the first
// seconds and the longest waits are kept.
func TestLargeTrialKeepsItsLongestWaits(t *testing.T) {
	s := Setting{Strategy: "immediate", Processes: 2, For: time.Minute, Sync: "full"}
	many := func(process int, events int) recording {
		r := recording{Trace: Trace{Process: fmt.Sprint("P", process), Number: process, Ended: true}}
		for i := range events {
			at := time.Duration(i) * 200 * time.Microsecond
			e := Event{First: i, Rows: 1, Ready: at, Wants: at, Begun: at, Released: at + 100*time.Microsecond, End: at + 150*time.Microsecond}
			if i%100 == 0 { // waits longer than the others
				e.Begun, e.Released, e.End = at+150*time.Microsecond, at+180*time.Microsecond, at+190*time.Microsecond
			}
			r.list = append(r.list, e)
		}
		return r
	}
	got := Measure(s, traces(many(1, 110_000), many(2, 110_000)), nil, StoredRows{}, false).Recording
	if got.Dropped == nil || got.Dropped.Events != 220_000 || got.Dropped.Until != 10*time.Second {
		t.Fatalf("dropped %+v", got.Dropped)
	}
	if n := got.count(); n != 2*50_000+recordedWaits {
		t.Errorf("%d events are kept, want %d", n, 2*50_000+recordedWaits)
	}
	for _, lane := range got.Lanes {
		for i, e := range lane.Events {
			if i > 0 && e.Ready < lane.Events[i-1].Ready {
				t.Fatal("the events are not in the order of time")
			}
			if e.End >= 10*time.Second && e.Wait() != 190*time.Microsecond {
				t.Fatalf("kept after 10 s: %+v", e)
			}
		}
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if perEvent := len(b) / got.count(); perEvent > 30 {
		t.Errorf("%d bytes an event in JSON", perEvent)
	}
	if few := Measure(s, traces(many(1, 100)), nil, StoredRows{}, false).Recording; few.Dropped != nil || few.count() != 100 {
		t.Errorf("of 100 events %d are kept, dropped %+v", few.count(), few.Dropped)
	}
	if strings.Contains(string(b), "\"rows\"") {
		t.Error("a column that says nothing is written")
	}
}
