package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"turnstile/internal/mta"
)

// TestFlawsAreRejects: what is spoiled is rejected, for every flaw in every
// dialect, and the rows beside it are read as if nothing were wrong there.
func TestFlawsAreRejects(t *testing.T) {
	for name, d := range dialects {
		const rows = 3000
		whole, _ := generate(t, fmt.Sprintf("--rows %d --dialect %s", rows, name))
		spoiled, list := generate(t, fmt.Sprintf("--rows %d --flaws 10%% --dialect %s", rows, name))
		want := rides(t, whole)
		got := rides(t, spoiled)
		if len(want.at) != rows || len(want.rejects) != 0 {
			t.Fatalf("%s: %d rides and rejects %v without flaws", name, len(want.at), want.rejects)
		}
		for line := range strings.Lines(list) {
			digits, what, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "line ")), ": ")
			n := int64(number(t, digits))
			reason, rejected := got.rejects[n]
			if !rejected {
				t.Errorf("%s: line %d (%s) is not rejected", name, n, what)
			}
			t.Logf("%s: %s: %s", name, what, reason)
			delete(got.rejects, n)
			delete(want.at, uint32(n))
		}
		if len(got.rejects) != 0 {
			t.Errorf("%s: rejected beside the flaws: %v", name, got.rejects)
		}
		for line, ride := range want.at {
			if got.at[line] != ride {
				t.Errorf("%s: line %d is %q beside flaws, %q without", name, line, got.at[line], ride)
			}
		}
		if n := strings.Count(list, "\n"); n != rows/10 {
			t.Errorf("%s: %d flaws listed, want %d", name, n, rows/10)
		}
		for _, flaw := range flaws {
			if !strings.Contains(list, flaw.what) {
				t.Errorf("%s: no row with %q", name, flaw.what)
			}
		}
		if got.blank != d.blanks {
			t.Errorf("%s: %d blank records, want %d", name, got.blank, d.blanks)
		}
	}
}

func TestFlawsSideBySide(t *testing.T) {
	for name := range dialects {
		spoiled, list := generate(t, "--rows 2000 --flaws 1 --dialect "+name)
		got := rides(t, spoiled)
		if len(got.at) != 0 || len(got.rejects) != 2000 || strings.Count(list, "\n") != 2000 {
			t.Errorf("%s: %d rides and %d rejects of 2,000 flawed rows", name, len(got.at), len(got.rejects))
		}
	}
}

// A reading is what the parser makes of a file, by line.
type reading struct {
	at      map[uint32]string // the raw records of the rides
	rejects map[int64]string  // the reasons
	blank   int
}

func rides(t *testing.T, file []byte) reading {
	t.Helper()
	f, err := mta.NewFile(bytes.NewReader(file), mta.FileOptions{Source: "generated"})
	if err != nil {
		t.Fatal(err)
	}
	r := reading{at: map[uint32]string{}, rejects: map[int64]string{}}
	parser := mta.NewParser()
	for {
		chunk, err := f.Next(100_000, 0)
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		parser.Begin()
		part := parser.Parse(chunk)
		for _, ride := range part.Rides {
			r.at[ride.Line] = string(ride.Raw)
		}
		for _, x := range part.Rejects {
			r.rejects[x.Line] = x.Reason
		}
		r.blank += part.Blank
	}
}

func TestFlawsHaveNames(t *testing.T) {
	var names []string
	for _, f := range flaws {
		names = append(names, f.what)
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != len(flaws) {
		t.Errorf("%d names for %d flaws", n, len(flaws))
	}
}
