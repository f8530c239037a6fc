package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"turnstile/internal/mta"
)

func TestRejectKeepsItsRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	record := []byte("a,\xff\x00,\"\n")
	b := &mta.Batch{Parts: []mta.Part{{Source: "a.csv", Columns: "a,b,c", Rejects: []mta.Reject{
		{Line: 7, Column: "ridership", Reason: "why", Record: record}, {Line: 8},
	}}}}
	for range 2 {
		if _, err := d.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	got := rejectsOf(t, path, "a.csv")
	if len(got) != 2 {
		t.Fatalf("%d rejects, want 2", len(got))
	}
	if x := got[0]; !bytes.Equal(x.Record, record) || x.Line != 7 || x.Column != "ridership" || x.Reason != "why" || x.Columns != "a,b,c" {
		t.Errorf("kept as %+v", x)
	}
	if others := rejectsOf(t, path, "b.csv"); len(others) != 0 {
		t.Errorf("rejects of another source: %+v", others)
	}
}

func rejectsOf(t *testing.T, path, source string) (list []Reject) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Rejects(t.Context(), source, func(x Reject) error { list = append(list, x); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// A corrected row resolves the rejects of its line. Each step is a part of its
// own; the rejects left are the same in one batch and in many.
func TestResolveRejects(t *testing.T) {
	row := func(riders int64) mta.Part {
		return mta.Part{Source: "a.csv", Rides: []mta.Ride{{Line: 5, Ridership: riders, Raw: fmt.Append(nil, "row ", riders)}}}
	}
	bad := mta.Part{Source: "a.csv", Rejects: []mta.Reject{{Line: 5, Reason: "bad", Record: []byte("bad")}}}
	badRow2 := mta.Part{Source: "a.csv", Rejects: []mta.Reject{{Line: 5, Reason: "bad", Record: []byte("row 2")}}}
	for _, story := range []struct {
		name  string
		steps []mta.Part
		left  []string
	}{
		{"corrected", []mta.Part{bad, row(1)}, nil},
		{"corrected, and both redelivered", []mta.Part{bad, row(1), bad, row(1)}, nil},
		{"spoiled", []mta.Part{row(1), bad}, []string{"bad"}},
		{"another version", []mta.Part{row(1), row(2)}, []string{"row 2"}},
		{"another version outlives the stored one's return", []mta.Part{row(1), row(2), row(1)}, []string{"row 2"}},
		{"another version outlives a correction", []mta.Part{bad, row(1), row(2), bad, row(1)}, []string{"row 2"}},
		{"another version resolves nothing", []mta.Part{row(1), bad, row(2)}, []string{"bad", "row 2"}},
		{"a flaw that turns out to be another version", []mta.Part{row(1), badRow2, row(2), row(1)}, []string{"row 2"}},
		{"another version stays one", []mta.Part{row(1), row(2), badRow2, row(1)}, []string{"row 2"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			for _, size := range []int{1, 2, len(story.steps)} {
				path := filepath.Join(t.TempDir(), "rides.db")
				d := open(t, path)
				for parts := range slices.Chunk(story.steps, size) {
					if _, err := d.Write(t.Context(), &mta.Batch{Parts: parts, Dims: testDims}); err != nil {
						t.Fatal(err)
					}
				}
				var left []string
				for _, x := range rejectsOf(t, path, "") {
					left = append(left, string(x.Record))
				}
				slices.Sort(left)
				if !slices.Equal(left, story.left) {
					t.Errorf("%d steps a batch: left are %q, want %q", size, left, story.left)
				}
			}
		})
	}
}

func TestDiffersWarnsOncePerSource(t *testing.T) {
	var warnings []error
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "rides.db"), Options{Warn: func(err error) { warnings = append(warnings, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n := range int64(3) {
		p := rides("a.csv", 2, 100)
		for i := range p.Rides {
			p.Rides[i].Ridership += n
		}
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{p}, Dims: testDims}); err != nil {
			t.Fatal(err)
		}
	}
	if len(warnings) != 1 {
		t.Fatalf("%d warnings, want 1: %v", len(warnings), warnings)
	}
	if w, ok := errors.AsType[*DiffersError](warnings[0]); !ok || *w != (DiffersError{"a.csv", 2}) {
		t.Errorf("warning %v, want that a.csv:2 differs", warnings[0])
	}
}

// A run is one row, however its lines are redelivered. Any of its lines may be
// corrected.
func TestRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	write := func(parts ...mta.Part) (outcomes []mta.Outcome) {
		t.Helper()
		outcomes, err := d.Write(t.Context(), &mta.Batch{Parts: parts, Dims: testDims})
		if err != nil {
			t.Fatal(err)
		}
		return outcomes
	}
	run := func(line, last int64) mta.Part {
		return mta.Part{Source: "a.csv", Columns: "x", Rejects: []mta.Reject{{Line: line, Last: last, Reason: "bad", Record: []byte("x\n")}}}
	}
	stored := func(want ...string) {
		t.Helper()
		var got []string
		for _, x := range rejectsOf(t, path, "a.csv") {
			got = append(got, fmt.Sprintf("%d-%d", x.Line, x.Last))
		}
		if !slices.Equal(got, want) {
			t.Errorf("runs %v, want %v", got, want)
		}
	}
	if o := write(run(10, 100)); o[0].Rejected != 91 {
		t.Errorf("outcome %+v", o)
	}
	stored("10-100")
	write(run(10, 50), run(51, 100), run(30, 30), run(100, 110))
	stored("10-100", "101-110")
	write(rides("a.csv", 10, 1), rides("a.csv", 55, 2), rides("a.csv", 110, 1))
	stored("11-54", "57-100", "101-109")
	write(run(10, 58)) // a redelivery: lines 10, 55 and 56 are rides now, and rejects again
	stored("10-10", "11-54", "55-56", "57-100", "101-109")
	write(run(1, 10_000))
	if n := number1(t, path, "SELECT sum(last - line + 1) FROM reject"); n != 10_000 {
		t.Errorf("%d lines, want 10000", n)
	}
	if n := number1(t, path, "SELECT count(*) FROM reject WHERE last - line >= 4096"); n != 0 {
		t.Errorf("%d runs are too long", n)
	}
}

// A data set is looked up by its exact name.
func TestCheckSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	for _, source := range []string{"a.csv", "b.csv"} {
		if _, err := d.Write(t.Context(), &mta.Batch{Parts: []mta.Part{{Source: source, Columns: "a", Rejects: []mta.Reject{{Line: 2}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.CheckSource(t.Context(), "a.csv"); err != nil {
		t.Error(err)
	}
	err = r.CheckSource(t.Context(), "A.csv")
	if e, ok := errors.AsType[*SourceError](err); !ok || !slices.Equal(e.Known, []string{"b.csv", "a.csv"}) {
		t.Errorf("%v, want a SourceError", err)
	}
}

// A damaged row of the table reject is an error. It must not be billions of lines in a
// list, nor make the writer insert rejects for as many.
func TestDamagedRun(t *testing.T) {
	for _, damage := range []string{"last = 9223372036854775807", "last = 9000", "last = 0", "line = -9223372036854775808"} {
		t.Run(damage, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rides.db")
			d := open(t, path)
			batch := func(last int64) *mta.Batch {
				return &mta.Batch{Parts: []mta.Part{{Source: "a.csv", Rejects: []mta.Reject{{Line: 2, Last: last, Reason: "bad", Record: []byte("bad")}}}}}
			}
			if _, err := d.Write(t.Context(), batch(3)); err != nil {
				t.Fatal(err)
			}
			execute(t, path, "UPDATE reject SET "+damage)
			fails := func(what string, err error) {
				if err == nil || !strings.Contains(err.Error(), "the table reject is damaged") {
					t.Errorf("%s: error %v, want that of a damaged table", what, err)
				}
			}
			r, err := OpenReader(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			fails("list", r.Rejects(t.Context(), "", func(Reject) error { return nil }))
			if strings.HasPrefix(damage, "line") {
				return // no search meets that row
			}
			_, err = d.Write(t.Context(), batch(5))
			fails("write", err)
			_, err = r.Verify(t.Context(), "a.csv", 0, each([]*mta.Batch{batch(5)}))
			fails("verify", err)
		})
	}
}
