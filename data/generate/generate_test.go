package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
)

// generate runs the command, and returns the file and the list of flaws.
func generate(t *testing.T, args string) (csv []byte, flaws string) {
	t.Helper()
	var out, stderr bytes.Buffer
	if err := run(t.Context(), strings.Fields(args), cli.Env{Stdout: &out, Stderr: &stderr}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "line ") {
			flaws += line
		}
	}
	return out.Bytes(), flaws
}

// records reads a file by encoding/csv, without the header.
func records(t *testing.T, file []byte) [][]string {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

// TestSamples runs the go:generate lines of main.go again.
func TestSamples(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(source)) {
		args, ok := strings.CutPrefix(line, "//go:generate go run . ")
		if !ok {
			continue
		}
		args, file, _ := strings.Cut(strings.TrimSpace(args), " --output ")
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := generate(t, args); !bytes.Equal(got, want) {
			t.Errorf("%s is not what %q generates; go generate ./data/generate, and look at the difference", file, args)
		}
		compared++
	}
	if compared != 2 {
		t.Errorf("compared %d samples, want 2", compared)
	}
}

func TestSampleHasFiveFlaws(t *testing.T) {
	_, flaws := generate(t, "--rows 2000 --seed 1 --flaws 0.25%")
	ways := map[string]bool{}
	for line := range strings.Lines(flaws) {
		_, what, _ := strings.Cut(line, ": ")
		ways[what] = true
	}
	if n := strings.Count(flaws, "\n"); n != 5 || len(ways) != 5 {
		t.Errorf("%d flaws of %d kinds, want 5 of 5:\n%s", n, len(ways), flaws)
	}
}

// TestSameSeedSameFile compares hashes of the bytes, so that no processor and no
// version of Go makes another file from a seed.
func TestSameSeedSameFile(t *testing.T) {
	for name, want := range map[string]string{
		"portal": "b3ecf35bba7d3df6",
		"api":    "f3a0f3b93d2a083d",
		"excel":  "d924c9fbd5d285b8",
		"split":  "702edab697170500",
	} {
		file, _ := generate(t, "--rows 20000 --seed 7 --flaws 1% --dialect "+name)
		if got := fmt.Sprintf("%x", sha256.Sum256(file))[:16]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		other, _ := generate(t, "--rows 20000 --seed 8 --flaws 1% --dialect "+name)
		if bytes.Equal(file, other) {
			t.Errorf("%s: another seed made the same file", name)
		}
	}
}

// TestDialects compares the first bytes and the last with those of the real
// files.
func TestDialects(t *testing.T) {
	const columns = "transit_mode,station_complex_id,station_complex,borough,payment_method,fare_class_category,ridership,transfers,latitude,longitude,"
	for _, c := range []struct{ name, start, end string }{
		{"portal", "transit_timestamp," + columns + "Georeference\n02/01/2022 12:00:00 AM,subway,10,\"49 St (N,R,W)\",Manhattan,", ")\n"},
		{"api", `"transit_timestamp","transit_mode","station_complex_id"`, ")\"\n"},
		{"excel", "\ufefftransit_timestamp," + columns + "Georeference\r\n", ")\r\n" + strings.Repeat(strings.Repeat(",", 11)+"\r\n", 8)},
		{"split", "\ufefftransit_date,transit_time," + columns + "Georeference\n", ")"},
	} {
		file, _ := generate(t, "--rows 3000 --dialect "+c.name)
		if !strings.HasPrefix(string(file), c.start) || !strings.HasSuffix(string(file), c.end) {
			t.Errorf("%s starts %.200q and ends %q", c.name, file, file[len(file)-120:])
		}
		rows := records(t, file)
		rows = slices.DeleteFunc(rows, func(r []string) bool { return r[0] == "" })
		if len(rows) != 3000 {
			t.Errorf("%s: %d rows, want 3000", c.name, len(rows))
		}
		if sorted := slices.IsSortedFunc(rows, byTimeAndID(c.name)); sorted != (c.name == "portal" || c.name == "api") {
			t.Errorf("%s: sorted %v", c.name, sorted)
		}
	}
	excel, _ := generate(t, "--rows 20000 --dialect excel")
	if !bytes.Contains(excel, []byte(`,"1,0`)) {
		t.Error("excel: no number with a thousands comma")
	}
	api, _ := generate(t, "--rows 10 --dialect api")
	if !strings.Contains(string(api), "\n\"2022-02-01T00:00:00.000\",\"subway\",\"10\",") || !strings.Contains(string(api), `.0","0.0",`) {
		t.Errorf("api: %s", api)
	}
}

// byTimeAndID compares as the API sorts. Within one day the portal's 12-hour
// clock sorts otherwise: only the first hours are looked at, 12 AM being 00.
func byTimeAndID(dialect string) func(a, b []string) int {
	at := func(r []string) string { return strings.Replace(r[0], " 12:", " 00:", 1) }
	return func(a, b []string) int {
		if dialect == "split" {
			return strings.Compare(a[0]+a[1]+a[3], b[0]+b[1]+b[3])
		}
		return strings.Compare(at(a)+" "+a[2], at(b)+" "+b[2])
	}
}

func TestNoKeyTwice(t *testing.T) {
	for name := range dialects {
		file, _ := generate(t, "--rows 40000 --seed 3 --dialect "+name)
		seen := map[string]bool{}
		for _, r := range records(t, file) {
			n := len(r)
			key := strings.Join(append(slices.Clone(r[:n-11]), r[n-11], r[n-10], r[n-7], r[n-6]), "|")
			if r[0] != "" && seen[key] {
				t.Fatalf("%s: twice: %v", name, r)
			}
			seen[key] = true
		}
	}
}

func TestMistyped(t *testing.T) {
	for _, args := range []string{
		"--rows -1", "--rows 100000001", "--dialect xml", "--flaws 101%", "--flaws many", "--flaws -0.1", "--flaws NaN", "more",
	} {
		env := cli.Env{Stdout: io.Discard, Stderr: io.Discard}
		if err := run(t.Context(), strings.Fields(args), env); cli.Status("generate", env, err, nil) != 2 {
			t.Errorf("%s: %v, want a usage error", args, err)
		}
	}
}

func TestNoRows(t *testing.T) {
	file, _ := generate(t, "--rows 0 --flaws 1")
	if n := bytes.Count(file, []byte("\n")); n != 1 {
		t.Errorf("%d lines, want the header alone", n)
	}
}

func BenchmarkGenerate(b *testing.B) {
	for name := range dialects {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			o := order{rows: b.N, seed: 1, dialect: dialects[name]}
			if err := newFile(o, io.Discard).write(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestFlawsAreRejects: every flaw in every dialect is a reject, and the rows
// beside it are read as in a file without flaws.
func TestFlawsAreRejects(t *testing.T) {
	for name, d := range dialects {
		const rows = 3000
		whole, _ := generate(t, fmt.Sprintf("--rows %d --dialect %s", rows, name))
		flawed, list := generate(t, fmt.Sprintf("--rows %d --flaws 10%% --dialect %s", rows, name))
		want := rides(t, whole)
		got := rides(t, flawed)
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
			if !strings.Contains(list, flaw.name) {
				t.Errorf("%s: no row with %q", name, flaw.name)
			}
		}
		if got.blank != d.blanks {
			t.Errorf("%s: %d blank records, want %d", name, got.blank, d.blanks)
		}
	}
}

func TestFlawsSideBySide(t *testing.T) {
	for name := range dialects {
		flawed, list := generate(t, "--rows 2000 --flaws 1 --dialect "+name)
		got := rides(t, flawed)
		if len(got.at) != 0 || len(got.rejects) != 2000 || strings.Count(list, "\n") != 2000 {
			t.Errorf("%s: %d rides and %d rejects of 2,000 flawed rows", name, len(got.at), len(got.rejects))
		}
	}
}

// A reading is the parser's result for a file, by line.
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
		names = append(names, f.name)
	}
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != len(flaws) {
		t.Errorf("%d names for %d flaws", n, len(flaws))
	}
}
