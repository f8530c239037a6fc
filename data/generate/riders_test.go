package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestShape compares 200,000 rows with what is known of the real data:
// the hours, the heavy tail, the fares.
func TestShape(t *testing.T) {
	file, _ := generate(t, "--rows 200000")
	var riders, transfers []int
	byHour, omny, modes, places := map[string]int{}, 0, map[string]int{}, map[string]map[string]bool{}
	for _, r := range records(t, file) {
		n, m := number(t, r[7]), number(t, r[8])
		riders, transfers = append(riders, n), append(transfers, m)
		if n < 1 || m > n {
			t.Fatalf("no such row in the real data: %v", r)
		}
		if r[0][:10] == "02/01/2022" && r[4] != "Manhattan" { // a Tuesday
			byHour[r[0][11:]] += n
		}
		if r[5] == "omny" {
			omny++
		}
		modes[r[1]]++
		if places[r[2]] == nil {
			places[r[2]] = map[string]bool{}
		}
		places[r[2]][r[11]] = true
	}
	slices.Sort(riders)
	slices.Sort(transfers)
	between := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %.3g, want %.3g to %.3g", what, got, low, high)
		}
	}
	at := func(sorted []int, share float64) float64 { return float64(sorted[int(share*float64(len(sorted)))]) }
	between("riders, median (real: 9)", at(riders, .5), 6, 12)
	between("riders, p90 (real: 85)", at(riders, .9), 60, 130)
	between("riders, p99 (real: 633)", at(riders, .99), 400, 900)
	between("riders, p99.9 (real: 2,666)", at(riders, .999), 1500, 4000)
	between("transfers, p90 (real: 3)", at(transfers, .9), 2, 5)
	between("rows without a transfer (real: 72 %)", float64(slices.Index(transfers, 1))/float64(len(transfers)), .6, .8)
	between("OMNY's share of the rows (real: 17 %)", float64(omny)/float64(len(riders)), .15, .2)
	between("riders at 8 in the morning, against 3 (real: 54)", float64(byHour["08:00:00 AM"])/float64(byHour["03:00:00 AM"]), 35, 75)
	between("stations", float64(len(places)), 60, 428)
	if len(modes) != 3 || len(places["602"]) != 3 {
		t.Errorf("modes %v, places of Union Square %v", modes, places["602"])
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWeekendMornings(t *testing.T) {
	riders := map[string]int{}
	file, _ := generate(t, "--rows 80000")
	for _, r := range records(t, file) {
		riders[r[0][:10]+r[0][11:13]+r[0][20:]] += number(t, r[7])
	}
	weekday, weekend := riders["02/04/202208AM"], riders["02/05/202208AM"] // Friday, Saturday
	if weekend == 0 || weekday < 4*weekend {
		t.Errorf("at 8 in the morning %d ride on a Friday, %d on a Saturday", weekday, weekend)
	}
}

// TestClocksGoForward: the hour skipped in spring has no rows.
func TestClocksGoForward(t *testing.T) {
	file, _ := generate(t, "--rows 560000 --dialect api")
	if bytes.Contains(file, []byte("2022-03-13T02")) {
		t.Error("rows at 02:00 on 13 March 2022")
	}
	for _, hour := range []string{"2022-03-13T01", "2022-03-13T03", "2022-03-12T02"} {
		if !bytes.Contains(file, []byte(hour)) {
			t.Errorf("no rows at %s", hour)
		}
	}
}

// TestShuffle: every number once, whatever their count.
func TestShuffle(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 7, 64, 1000, 4097} {
		s := newShuffle(n, 42)
		seen := make([]bool, n)
		for i := range n {
			if at := s.at(i); seen[at] {
				t.Fatalf("%d comes twice of %d", at, n)
			} else {
				seen[at] = true
			}
		}
	}
}

// TestMonths: in September 2024 students moved to OMNY.
func TestMonths(t *testing.T) {
	all := days(1100)
	for i, d := range all[1:] {
		before := all[i]
		changed := d.era != before.era
		if changed != (d.year == 2024 && d.month == 9 && d.day == 1) {
			t.Errorf("era %d on %v", d.era, d)
		}
	}
	tab := newTable()
	for f, fare := range fares {
		if strings.HasSuffix(fare.class, "Students") && (tab[0][0][8][0][f] > 0) == (tab[1][0][8][0][f] > 0) {
			t.Errorf("%s in both eras, or in neither", fare.class)
		}
	}
	for era := range 2 {
		sum := int64(0)
		for _, f := range fares {
			sum += f.share[era]
		}
		if sum < 99_900 || sum > 100_100 {
			t.Errorf("era %d: the shares make %d, want 100,000", era, sum)
		}
	}
}
