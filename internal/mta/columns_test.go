package mta

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseColumns(t *testing.T) {
	for _, test := range []struct {
		name, header    string
		ignored, absent []string
	}{
		{name: "portal", header: portalHeader},
		{name: "the original's", header: strings.Replace(portalHeader, "transit_timestamp", "transit_date,transit_time", 1)},
		{name: "Excel", header: "Line," + portalHeader, ignored: []string{"Line"}},
		{name: "pandas", header: "," + portalHeader, ignored: []string{"column 1 (no name)"}},
		{name: "pandas, named", header: "Unnamed: 0," + portalHeader, ignored: []string{"Unnamed: 0"}},
		{name: "trailing commas", header: portalHeader + ",,", ignored: []string{"column 13 (no name)", "column 14 (no name)"}},
		{
			name: "six of the series", header: "transit_date,transit_time,station_complex_id,station_complex,ridership,transfers",
			absent: []string{"transit_mode", "borough", "payment_method", "fare_class_category", "latitude", "longitude", "georeference"},
		},
		{
			name: "seven of the series", header: "transit_date,transit_timestamp,station_complex_id,station_complex,borough,ridership,transfers",
			absent: []string{"transit_mode", "payment_method", "fare_class_category", "latitude", "longitude", "georeference"},
		},
		{
			name: "what is needed", header: "\"RIDERSHIP\" , Station_Complex_ID ,\"transit_timestamp\"", ignored: nil,
			absent: []string{"transit_mode", "station_complex", "borough", "payment_method", "fare_class_category", "transfers", "latitude", "longitude", "georeference"},
		},
		{name: "all times", header: "transit_date,transit_time," + portalHeader, ignored: []string{"transit_timestamp"}},
		{name: "a time to spare", header: "transit_time," + portalHeader, ignored: []string{"transit_time"}},
	} {
		header := strings.Replace(test.header, "\" ,", "\",", 1)
		c, err := ParseColumns(header)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !slices.Equal(c.Ignored(), test.ignored) || !slices.Equal(c.Absent(), test.absent) {
			t.Errorf("%s: ignored %q, absent %q", test.name, c.Ignored(), c.Absent())
		}
	}
}

func TestParseColumnsRefuses(t *testing.T) {
	for header, want := range map[string]string{
		"":                                 "there are no columns",
		"\n":                               "there are no columns",
		shortHeader + "\n" + "1,2,3":       "the columns are more than one line",
		"\"" + shortHeader:                 "the columns are not CSV",
		"transit_timestamp,ridership":      "the columns lack station_complex_id;",
		"transit_date," + shortHeader[18:]: "the columns lack a time (transit_timestamp, or transit_date and transit_time);",
		"transit_time," + shortHeader[18:]: "the columns lack a time (transit_timestamp, or transit_date and transit_time);",
		shortHeader + ",ridership":         "the columns have more than one ridership;",
		shortHeader + ",borough,Borough":   "the columns have more than one borough;",

		shortHeader + strings.Repeat(",Borough", 900): "the columns have more than one borough; found", // said once, not 899 times
		shortHeader + strings.Repeat(",", 8<<10):      "the header record has ",
	} {
		_, err := ParseColumns(header)
		if _, ok := errors.AsType[*ColumnsError](err); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v", header, err)
		}
	}
}

// TestHeaderTravels makes one line of text of any header.
func TestHeaderTravels(t *testing.T) {
	data := shortHeader + ",\"a\r\nb\tc\",\xff\n1/1/22 0:00,1,1,x,y\n"
	f, err := NewFile(strings.NewReader(data), FileOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if want := shortHeader + ",\"a  b c\",\uFFFD"; f.Header() != want {
		t.Errorf("got %q, want %q", f.Header(), want)
	}
	c, err := f.Next(1<<20, 0)
	if err != nil || c.Line != 3 {
		t.Fatalf("got %+v, %v", c, err)
	}
	if part := NewParser().Parse(c); len(part.Rides) != 1 {
		t.Errorf("got %+v", part.Rejects)
	}
}
