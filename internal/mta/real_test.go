package mta

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sums are a station's riders.
type sums struct{ rows, ridership, transfers int64 }

// TestRealFiles reads the MTA's own files and holds the sums of each station
// against those computed by encoding/csv. The files are not part of this project.
func TestRealFiles(t *testing.T) {
	folder := os.Getenv("TURNSTILE_REAL_DATA")
	if folder == "" {
		t.Skip("NOT RUN: TURNSTILE_REAL_DATA names no folder of real MTA files; data/README.md says where to get them")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.csv"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CSV files in %s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, want := sumByParser(t, path), sumByStdlib(t, path)
			if !maps.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

func sumByParser(t *testing.T, path string) map[string]sums {
	f, err := OpenFile(t.Context(), path, nil, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]sums{}
	for p := NewParser(); ; {
		c, err := f.Next(100_000, 0)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		part := p.Parse(c)
		for _, r := range part.Rejects {
			t.Errorf("line %d: %s: %s", r.Line, r.Column, r.Reason)
		}
		for _, r := range part.Rides {
			id := p.Dimensions().Stations[r.Station].ComplexID.S
			s := all[id]
			all[id] = sums{s.rows + 1, s.ridership + r.Ridership, s.transfers + r.Transfers}
		}
	}
}

func sumByStdlib(t *testing.T, path string) map[string]sums {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, bom))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	number := func(value string) int64 {
		f, err := strconv.ParseFloat(strings.ReplaceAll(value, ",", ""), 64)
		if err != nil {
			t.Fatal(err)
		}
		return int64(f)
	}
	all := map[string]sums{}
	for _, r := range records[1:] {
		id := r[at["station_complex_id"]]
		s := all[id]
		all[id] = sums{s.rows + 1, s.ridership + number(r[at["ridership"]]), s.transfers + number(r[at["transfers"]])}
	}
	return all
}
