package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"turnstile/internal/mta"
)

func file(t *testing.T, text string) *mta.File {
	t.Helper()
	f, err := mta.NewFile(strings.NewReader(text), mta.FileOptions{Source: "a.csv"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func all(t *testing.T, r chunkReader, maxBytes int) (chunks []mta.Chunk) {
	t.Helper()
	for {
		c, err := r.Next(maxBytes, 0)
		if errors.Is(err, io.EOF) {
			return chunks
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Data = bytes.Clone(c.Data)
		chunks = append(chunks, c)
	}
}

const header = "transit_timestamp,station_complex_id,ridership\n"

func TestOrderByTime(t *testing.T) {
	long := "2022-01-01 02:00:00," + strings.Repeat("x", 2*maxInlineRecord) + ",1\n" // one that is spooled
	text := header +
		"2022-01-01 03:00:00,1,1\n" + // 2
		"never,1,1\n" + // 3
		"2022-01-01 01:00:00,1,1\n" + // 4: with 5 in a message
		"2022-01-01 01:00:00,2,1\n" + // 5
		",,\n" + // 6: blank
		long + // 7
		"\"unclosed,1,1\n" + // 8
		strings.Repeat("y", mta.MaxRecord+10) + "\n" + // 9
		"2022-01-01 00:00:00,1,nonsense" // 10: a reject, but its time is good
	s, err := orderByTime(t.Context(), file(t, text), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []string
	for _, c := range all(t, s, 1<<20) {
		got = append(got, fmt.Sprint(c.Line, "+", c.Records))
		if c.Source != "a.csv" || c.Columns+"\n" != header {
			t.Errorf("line %d: source %q, columns %q", c.Line, c.Source, c.Columns)
		}
		if c.Line == 7 && string(c.Data) != long || c.Line == 9 && c.Length != mta.MaxRecord+10 {
			t.Errorf("line %d: %d bytes, length %d", c.Line, len(c.Data), c.Length)
		}
	}
	if want := "10+1 4+2 7+1 2+1 3+1 8+1 9+1"; strings.Join(got, " ") != want || s.blank != 1 {
		t.Errorf("got %s and %d blank, want %s and 1", strings.Join(got, " "), s.blank, want)
	}
}

func TestOrderByTimeFromDisk(t *testing.T) {
	const n = 2*recordsPerRun + 7
	var text strings.Builder
	text.WriteString(header)
	for i := range n { // the newest first
		at := n - i
		fmt.Fprintf(&text, "2022-01-%02d %02d:%02d:%02d,1,1\n", 1+at/86400, at/3600%24, at/60%60, at%60)
	}
	s, err := orderByTime(t.Context(), file(t, text.String()), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := int64(n + 1)
	for _, c := range all(t, s, 1<<20) {
		if c.Line != want || c.Records != 1 {
			t.Fatalf("line %d with %d records, want line %d", c.Line, c.Records, want)
		}
		want--
	}
	if want != 1 {
		t.Errorf("ended before line %d", want)
	}
}

func TestOrderByTimeEndsEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := orderByTime(ctx, file(t, header+strings.Repeat("2022-01-01 03:00:00,1,1\n", 10_000)), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	var wg sync.WaitGroup
	for range 50 { // the sorter of a busy process may be done before anybody looks
		wg.Go(func() {
			f, err := mta.NewFile(io.MultiReader(strings.NewReader(header+"2022-01-01 03:00:00,1,1\n"), failing{broken}), mta.FileOptions{Source: "a"})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := orderByTime(t.Context(), f, 0); !errors.Is(err, broken) {
				t.Errorf("a file that can't be read to its end: %v", err)
			}
		})
	}
	wg.Wait()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestOrderFromLine continues at the row of a line, in order of time.
func TestOrderFromLine(t *testing.T) {
	text := header + "2022-01-01 03:00:00,1,1\n2022-01-01 01:00:00,1,2\n2022-01-01 02:00:00,1,3\n"
	s, err := orderByTime(t.Context(), file(t, text), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var lines []int64
	for _, c := range all(t, s, 1<<20) {
		lines = append(lines, c.Line)
	}
	if !slices.Equal(lines, []int64{4, 2}) {
		t.Errorf("got lines %v, want 4 and 2", lines)
	}
	if _, err := orderByTime(t.Context(), file(t, text), 9); err == nil || !strings.Contains(err.Error(), "line 9") {
		t.Errorf("got %v", err)
	}
}
