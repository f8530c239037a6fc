package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"turnstile/internal/screen"
)

// night is a recording of watch from 22:00 to 06:00.
func night() Recording {
	at := func(clock string) time.Duration {
		t, err := time.Parse("15:04:05.000", clock)
		if err != nil {
			panic(err)
		}
		d := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
		return (d + 2*time.Hour) % (24 * time.Hour)
	}
	event := func(from, to, lock string) Event {
		return Event{Ready: at(from), Wants: at(from), Begun: at(from), Released: at(to), End: at(to), Lock: lock}
	}
	last := event("05:59:00.000", "06:00:00.000", "wal-write")
	last.Unfinished = true
	return Recording{
		Version: 1, Source: "watch", Title: "watch /srv/app.db", Zero: time.Date(2026, 11, 24, 22, 0, 0, 0, time.Local),
		Lanes: []Lane{
			{Process: "5340", PID: 5340, Command: "python3 import.py", Events: []Event{
				event("23:00:00.000", "23:00:00.150", "wal-write"), event("03:12:07.123", "03:12:11.323", "wal-write"), last,
			}},
			{Process: "77 read", PID: 77, Command: "python3 report.py", Events: []Event{event("03:00:00.000", "04:00:00.000", "wal-read")}},
		},
		Notes: []Note{
			{At: at("03:12:07.300"), Process: "5340", Kind: "info", Text: "2 others may be waiting: 9 web, 10 worker"},
			{At: at("03:12:09.123"), Process: "5340", Kind: "alert", Text: "has held the write lock for 2.0 s"},
			{At: at("02:00:00.000"), Kind: "gap", Text: "watch took no sample for 3.2 s"},
		},
		Series: []Series{{Name: "wal_bytes", At: []time.Duration{0, time.Hour}, Values: []int64{0, 4152}}},
	}
}

func TestRecordingHolds(t *testing.T) {
	for name, at := range map[string]string{"holds": "", "holds-minute": "03:12", "holds-second": "2026-11-25 03:12:08", "holds-quiet": "05:00", "holds-outside": "12:00"} {
		t.Run(name, func(t *testing.T) {
			// As it comes back from a file.
			r := night()
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			_, read, err := Read(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			var p *Period
			if at != "" {
				parsed, err := ParsePeriod(at)
				if err != nil {
					t.Fatal(err)
				}
				p = &parsed
			}
			var b strings.Builder
			if err := read.Text(&b, screen.Paint{}, p); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", []byte(b.String()))
		})
	}
}

func TestRecordingHoldsListsTheLongest(t *testing.T) {
	r := night()
	lane := &r.Lanes[0]
	lane.Events = nil
	for i := range 100 {
		from := time.Duration(i) * time.Minute
		to := from + time.Duration(i)*100*time.Millisecond
		lane.Events = append(lane.Events, Event{Ready: from, Wants: from, Begun: from, Released: to, End: to, Lock: "reserved"})
	}
	var b strings.Builder
	if err := r.Text(&b, screen.Paint{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "reserved for "); n != maxListed-1 || !strings.Contains(b.String(), "The 30 longest holds") || strings.Contains(b.String(), "for 7.0 s") {
		t.Errorf("%d holds of the writer, want the %d longest:\n%s", n, maxListed-1, b.String())
	}
}

func TestParsePeriod(t *testing.T) {
	for _, s := range []string{"", "3 o'clock", "25:00", "03:12:61"} {
		if _, err := ParsePeriod(s); err == nil {
			t.Errorf("%q is no time", s)
		}
	}
}
