package mta

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for value, want := range map[string]string{
		"6": "6", "0": "0", "6.0": "6", "007": "7", "1,031": "1031", "12,345,678": "12345678", "123,456.0": "123456",
		"9223372036854775807": "9223372036854775807", "9,223,372,036,854,775,807.0": "9223372036854775807",
		"9223372036854775808": hugeCount, "99999999999999999999": hugeCount,
		"": notCount, ".0": notCount, "-3": notCount, "+3": notCount, "6.5": notCount, "6.": notCount, "6.00": notCount, "1e3": notCount,
		" 6": notCount, "6 ": notCount, "six": notCount, "1,03": notCount, "1,0310": notCount, "1031,000": notCount, ",031": notCount,
		"1,": notCount, "1,031,": notCount, ",": notCount, "1,,031": notCount, "0x6": notCount, "٦": notCount,
	} {
		n, problem := parseCount([]byte(value))
		if problem == "" {
			problem = strconv.FormatInt(n, 10)
		}
		if problem != want {
			t.Errorf("%q: got %s, want %s", value, problem, want)
		}
	}
}

func TestDegrees(t *testing.T) {
	for value, want := range map[string]string{
		"": "NULL", "40.8589859": "40.8589859", "-73.85536193847656": "-73.85536193847656", "4e1": "40", "90": "90", "-90.0": "-90",
		"90.0001": notLatitude, "-91": notLatitude, "1e300": notLatitude,
		"nan": notDegrees, "inf": notDegrees, "-Inf": notDegrees, "0x1p-2": notDegrees, "4_0": notDegrees, " 40": notDegrees, "1e999": notDegrees,
		"40,8": notDegrees, "e": notDegrees, "-": notDegrees,
	} {
		n, problem := parseDegrees(value, 90, notLatitude)
		if problem == "" {
			var ok bool
			if problem, ok = n.text(); !ok {
				problem = "NULL"
			}
		}
		if problem != want {
			t.Errorf("%q: got %s, want %s", value, problem, want)
		}
	}
}

var countShape = regexp.MustCompile(`^(\d+|\d{1,3}(,\d{3})+)(\.0)?$`)

// slowCount reads a count by regular expression.
func slowCount(s string) (int64, bool) {
	if !countShape.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSuffix(s, ".0"), ",", ""), 10, 64)
	return n, err == nil
}

func FuzzCount(f *testing.F) {
	for _, seed := range []string{"6", "6.0", "1,031", "9223372036854775807", "9223372036854775808", "1,2,3", ",1", "1,000,", "0,0.0", "-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, problem := parseCount([]byte(value))
		want, ok := slowCount(value)
		if ok != (problem == "") || ok && got != want {
			t.Errorf("%q: got %d %q, want %d %t", value, got, problem, want, ok)
		}
	})
}
