package mta

import "testing"

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
