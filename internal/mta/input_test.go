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
			if c, err = f.Next(1<<20, 0); err == nil || err == io.EOF || !strings.HasPrefix(err.Error(), "s: ") {
				t.Errorf("%s: got %+v, %v", name, c, err)
			}
		}
	}
}

// TestDamagedGzip tells a compressed file that is cut off, or was changed, from a disk
// that fails.
func TestDamagedGzip(t *testing.T) {
	packed := pack(t, shortFile)
	changed := bytes.Clone(packed)
	changed[len(changed)-8] ^= 1 // its checksum
	broken := bytes.Clone(packed)
	copy(broken[10:], bytes.Repeat([]byte{0xff}, 8))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut":      {packed[:len(packed)-4], "cut off at line 4"},
		"checksum": {changed, "damaged at line 4"},
	} {
		f, err := NewFile(bytes.NewReader(c.data), FileOptions{Source: "s"})
		for err == nil {
			_, err = f.Next(1<<20, 0)
		}
		if e, ok := errors.AsType[*FileError](err); !ok || e.Kind != IsDamaged || !strings.Contains(e.Problem, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := NewFile(bytes.NewReader(broken), FileOptions{Source: "s"}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a broken start: %v", err)
	}
}

func TestOtherFormats(t *testing.T) {
	for start, want := range map[string]FileError{
		"PK\x03\x04 docProps/app.xml xl/theme.xml":                  {Kind: IsWorkbook, Problem: "is a workbook, want CSV"},
		"PK\x03\x04 application/vnd.oasis.opendocument.spreadsheet": {Kind: IsWorkbook, Problem: "is a workbook, want CSV"},
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00":                      {Kind: IsWorkbook, Problem: "is a workbook, want CSV"},
		"PK\x03\x04 rides.csv":                                      {Kind: IsArchive, Problem: "is a .zip, want CSV"},
		"BZh91AY&SY\x01":                                            {Kind: IsArchive, Problem: "is a .bz2, want CSV"},
		"SQLite format 3\x00\x10\x00,\n":                            {Kind: IsBinary, Problem: "is a SQLite database, want CSV"},
		"PAR1\x15\x04":                                              {Kind: IsBinary, Problem: "is a Parquet file, want CSV"},
		"%PDF-1.7\n":                                                {Kind: IsBinary, Problem: "is a PDF, want CSV"},
		"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR":                       {Kind: IsBinary, Problem: "is an image, want CSV"},
		"\xff\xd8\xff\xe0\x00\x10JFIF":                              {Kind: IsBinary, Problem: "is an image, want CSV"},
		"\x7fELF\x02\x01\n":                                         {Kind: IsBinary, Problem: "is not text"},
	} {
		for _, r := range []io.Reader{strings.NewReader(start), bytes.NewReader(pack(t, start))} {
			_, err := NewFile(r, FileOptions{Source: "s"})
			if e, ok := errors.AsType[*FileError](err); !ok || e.Kind != want.Kind || e.Problem != want.Problem {
				t.Errorf("%q: %v, want %v", start, err, &want)
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
