package mta

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	const want = "2022-07-05 13:00:00"
	for value, want := range map[string]string{
		"07/05/2022 01:00:00 PM":     want,
		"7/5/2022 13:00":             want,
		"07/05/22 13:00:00":          want,
		"7/5/22 1:00 pm":             want,
		"7/5/2022 1:00:00PM":         want,
		"2022-07-05T13:00:00.000":    want,
		"2022-07-05T13:00:00":        want,
		"2022-07-05 13:00:00":        want,
		"2022-07-05 13:00":           want,
		"2022-07-05 13:00:00.000000": want,
		"02/01/22 0:00:00":           "2022-02-01 00:00:00",
		"02/01/2022 12:00:00 AM":     "2022-02-01 00:00:00",
		"02/01/2022 12:59:59 PM":     "2022-02-01 12:59:59",
		"02/29/2024 11:00:00 PM":     "2024-02-29 23:00:00",
		"2/29/2000 0:00":             "2000-02-29 00:00:00",
		"12/31/1969 23:59":           "1969-12-31 23:59:00",
		"03/12/2023 02:00:00 AM":     "2023-03-12 02:00:00", // no such hour in New York, but no zone is known of here
		"1/1/0001 0:00":              "0001-01-01 00:00:00",
		"9999-12-31T23:59:59":        "9999-12-31 23:59:59",
		"02/29/2023 11:00:00 PM":     noSuchDay,
		"2/29/1900 0:00":             noSuchDay,
		"04/31/2023 11:00:00 PM":     noSuchDay,
		"13/01/2023 11:00:00 PM":     noSuchDay,
		"0/1/2023 0:00":              noSuchDay,
		"2023-00-01 00:00":           noSuchDay,
		"2023-01-00 00:00":           noSuchDay,
		"0000-01-01 00:00":           noSuchDay,
		"7/5/2022 24:00":             noSuchTime,
		"7/5/2022 13:60":             noSuchTime,
		"7/5/2022 13:00:60":          noSuchTime,
		"7/5/2022 13:00 PM":          noSuchTime,
		"7/5/2022 0:00 AM":           noSuchTime,
		"7/5/2022":                   dateOnly,
		"2022-07-05":                 dateOnly,
		"2022-07-05T13:00:00Z":       withZone,
		"2022-07-05T13:00:00+00:00":  withZone,
		"2022-07-05 13:00:00-04:00":  withZone,
		"7/5/2022 13:00 EST":         withZone,
		"2022-07-05T13:00:00.500":    fractional,
		"2022-07-05T13:00:00.":       fractional,
		"":                           notTimestamp,
		"13:00":                      notTimestamp,
		"7/5/022 13:00":              notTimestamp,
		"7/5/20222 13:00":            notTimestamp,
		"7/5/2022 13":                notTimestamp,
		"7/5/2022 13:0":              notTimestamp,
		"7/5/2022  13:00":            notTimestamp,
		"7/5/2022 13:00 ":            notTimestamp,
		" 7/5/2022 13:00":            notTimestamp,
		"7-5-2022 13:00":             notTimestamp,
		"2022/07/05 13:00":           notTimestamp,
		"2022-7-05 13:00":            notTimestamp,
		"2022-07-5 13:00":            notTimestamp,
		"1657026000":                 notTimestamp,
	} {
		at, problem := parseTimestamp([]byte(value))
		if problem == "" {
			problem = formatTime(at)
		}
		if problem != want {
			t.Errorf("%q: got %s, want %s", value, problem, want)
		}
	}
}

func TestDayAndTime(t *testing.T) {
	for _, test := range []struct{ day, clock, want string }{
		{"7/5/2022", "13:00", "2022-07-05 13:00:00"},
		{"7/5/22", "6:00", "2022-07-05 06:00:00"},
		{"2022-07-05", "01:00:00 PM", "2022-07-05 13:00:00"},
		{"2022-07-05T00:00:00.000", "13:00:00.0", "2022-07-05 13:00:00"},
		{"7/5/2022", "7/5/2022 13:00", "2022-07-05 13:00:00"},
		{"7/5/1922", "7/5/1922 13:00", "1922-07-05 13:00:00"},
		{"7/5/2022", "7/6/2022 0:00", otherDay},
		{"7/5/2022", "7/4/2022 23:59", otherDay},
		{"7/5/2022", "7/5/2022", dateOnly},
		{"7/5/2022", "", notClock},
		{"7/5/2022", "one", notClock},
		{"7/5/2022", "25:00", noSuchTime},
		{"7/5/2022", "2/30/2022 13:00", noSuchDay},
		{"7/5/2022 13:00", "13:00", timeOfDay},
		{"7/5/2022 ", "13:00", notDate},
		{"2/30/2022", "13:00", noSuchDay},
		{"", "13:00", notDate},
	} {
		at, got := parseDay([]byte(test.day))
		if got == "" {
			at, got = parseTimeOn(at, []byte(test.clock))
		}
		if got == "" {
			got = formatTime(at)
		}
		if got != test.want {
			t.Errorf("%q, %q: got %s, want %s", test.day, test.clock, got, test.want)
		}
	}
}

// TestCalendar counts days beside the time package, which is not asked for
// each row because it is ten times slower.
func TestCalendar(t *testing.T) {
	day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for day.Year() <= 2400 {
		got := daysSince1970(day.Year(), int(day.Month()), day.Day())
		if got*secondsADay != day.Unix() {
			t.Fatalf("%s: day %d", day.Format(time.DateOnly), got)
		}
		next := day.AddDate(0, 0, 1)
		if next.Day() == 1 && daysIn(day.Year(), int(day.Month())) != day.Day() {
			t.Fatalf("%s: a month of %d days", day.Format(time.DateOnly), daysIn(day.Year(), int(day.Month())))
		}
		day = next
	}
}

var stampShape = regexp.MustCompile(`^(\d{4}-\d\d-\d\d|\d\d?/\d\d?/(?:\d\d|\d{4}))[ T](\d\d?:\d\d(?::\d\d)?)(?:\.0+)?( ?[aApP][mM])?$`)

// slowStamp reads a time by the time package.
func slowStamp(s string) (int64, bool) {
	m := stampShape.FindStringSubmatch(s)
	if m == nil || strings.Contains(s, ".") && strings.Count(m[2], ":") < 2 {
		return 0, false
	}
	date, clock, half := m[1], m[2], strings.ToUpper(strings.TrimSpace(m[3]))
	layout := "1/2/2006"
	if strings.Contains(date, "-") {
		layout = time.DateOnly
	} else if date[len(date)-3] == '/' {
		date = date[:len(date)-2] + "20" + date[len(date)-2:]
	}
	if half != "" && strings.Trim(clock[:2], "0:") == "" {
		return 0, false // the time package takes 0:00 AM for midnight
	}
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	layout += " 15:04:05"
	if half != "" {
		layout = strings.Replace(layout, "15", "3", 1) + "PM"
	}
	at, err := time.Parse(layout, date+" "+clock+half)
	if err != nil || at.Year() == 0 {
		return 0, false
	}
	return at.Unix(), true
}

// FuzzStamp holds our reading of times against the time package's.
func FuzzStamp(f *testing.F) {
	for _, seed := range []string{
		"07/05/2022 01:00:00 PM", "7/5/22 13:00", "2022-07-05T13:00:00.000", "2022-07-05 13:00:00", "2/29/2023 0:00", "2/29/2024 12:00 am",
		"1/1/2022 0:00 AM", "7/5/2022 13:00:00.0PM", "7/5/2022 13:00.0", "0000-01-01 00:00", "2022-07-05T24:00:00", "7/5/2022T3:00PM",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, problem := parseTimestamp([]byte(value))
		want, ok := slowStamp(value)
		if ok != (problem == "") || ok && got != want {
			t.Errorf("%q: got %d %q, want %d %t", value, got, problem, want, ok)
		}
	})
}

func TestWhen(t *testing.T) {
	c, err := ParseColumns("transit_timestamp,station_complex_id,ridership")
	if err != nil {
		t.Fatal(err)
	}
	for rec, want := range map[string]int64{
		"01/01/1970 12:01:00 AM,1,1\r\n":   60,
		"\"1970-01-01T00:01:00\",1,1":      60,
		"1970-01-01 00:01:00,1,no count\n": 60, // a reject, but not for its time
		"never,1,1\n":                      -1,
		"1970-01-01 00:01:00,1\n":          -1, // which field is which?
		"\"1970-01-01 00:01:00\"x,1,1\n":   -1,
		"1970-01-01 00:01:00,\xff,1\n":     -1,
		",,\n":                             -1,
		"":                                 -1,
	} {
		at, ok := c.When([]byte(rec))
		if ok != (want >= 0) || ok && at != want {
			t.Errorf("%q: %d, %v; want %d", rec, at, ok, want)
		}
	}
}
