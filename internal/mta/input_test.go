// Hard inputs: pipes that pause, truncated files, lines without end.

package mta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLivePipe hands rows on as they come: a stream must not wait for a full
// buffer.
func TestLivePipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	say := func(s string) {
		if _, err := w.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	say(shortHeader + "\n1/1/22 0:00,1,1\n1/1/22 0:00,2")
	f, err := OpenFile(t.Context(), "-", r, FileOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Next(1<<20, 0) // blocks if it waits for a full buffer
	if err != nil || string(c.Data) != "1/1/22 0:00,1,1\n" {
		t.Fatalf("got %q, %v", c.Data, err)
	}
	say(",2\n")
	if c, err = f.Next(1<<20, 0); err != nil || c.Line != 3 || string(c.Data) != "1/1/22 0:00,2,2\n" {
		t.Fatalf("got %q, %v", c.Data, err)
	}
}

// TestBrokenFile returns the whole records, then fails: half a record of a file cut
// short must not pass for a record.
func TestBrokenFile(t *testing.T) {
	broken := errors.New("broken")
	packed := pack(t, shortFile)
	for name, r := range map[string]io.Reader{
		"broken":                io.MultiReader(strings.NewReader(shortFile+"1/1/22 0:00,3,3"), iotest.ErrReader(broken)),
		"broken in other words": io.MultiReader(strings.NewReader(shortFile+"1/1/22 0:00,3,3"), iotest.ErrReader(fmt.Errorf("unpack: %w", io.EOF))),
		"long line":             io.MultiReader(strings.NewReader(shortFile+strings.Repeat("x", 1<<20)), iotest.ErrReader(broken)),
		"cut gzip":              bytes.NewReader(packed[:len(packed)-4]),
	} {
		f, err := NewFile(r, FileOptions{Source: "s"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Next(1<<20, 0)
		if err != nil || c.Records != 2 {
			t.Fatalf("%s: got %+v, %v", name, c, err)
		}
		for range 2 {
			if c, err = f.Next(1<<20, 0); err == nil || err == io.EOF || !strings.HasPrefix(err.Error(), "mta: s: ") {
				t.Errorf("%s: got %+v, %v", name, c, err)
			}
		}
	}
}

// TestLastLine refuses a file with more lines than there are numbers.
func TestLastLine(t *testing.T) {
	f, err := NewFile(strings.NewReader(shortFile), FileOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	f.line = 1<<32 - 1
	c, err := f.Next(1<<20, 0)
	if err != nil || c.Records != 1 || c.Line != 1<<32-1 {
		t.Fatalf("got %+v, %v", c, err)
	}
	if _, err = f.Next(1<<20, 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("past the last line: %v", err)
	}
}

// TestLongLine carries the beginning of a line that is too long, and says how
// long it was.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	for _, end := range []string{"\n", "\r\n", "", "\r"} {
		for _, piece := range []int{1, 999, 1 << 20} {
			r := pieces{strings.NewReader(shortFile + long + end), piece}
			f, err := NewFile(r, FileOptions{Source: "s", FromLine: 4})
			if err != nil {
				t.Fatal(err)
			}
			f.scan.live = true
			c, err := f.Next(1000, 0)
			if err != nil || c.Line != 4 || c.Length != 100_000 || string(c.Data) != long[:MaxRecord] || c.Records != 1 {
				t.Errorf("%q, %d bytes at a time: got line %d, %d of %d bytes, %v", end, piece, c.Line, len(c.Data), c.Length, err)
			}
		}
	}
}

// TestMemoryIsBounded reads a line of 64 MiB and a lot of rows in little memory.
func TestMemoryIsBounded(t *testing.T) {
	line := io.LimitReader(endless{}, 64<<20)
	f, err := NewFile(io.MultiReader(strings.NewReader(shortFile), line, strings.NewReader("\n1/1/22 0:00,3,3\n")), FileOptions{Source: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var lengths []int64
	for {
		c, err := f.Next(900<<10, 0)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lengths = append(lengths, c.Length)
		if cap(f.scan.data) > 4<<20 {
			t.Fatalf("a buffer of %d bytes", cap(f.scan.data))
		}
	}
	if fmt.Sprint(lengths) != "[0 67108864 0]" {
		t.Errorf("got chunks of lengths %v", lengths)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
