// A CSV file as a stream of chunks: what the producer, load and verify read.

package mta

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FileOptions say how a file is to be read.
type FileOptions struct {
	Source   string // the data set's name; "" takes the file's base name without .gz
	Columns  string // the header record, for a file that has none: its line 1 is a row
	FromLine uint32 // records that start before this line are passed over
}

// A File is a CSV file being read. It is for one goroutine, except for Offset.
type File struct {
	*input
	path    string
	source  string
	header  string
	columns *Columns
	from    uint64

	scan scanner
	line uint64 // of the record at scan.pos
	long []byte // what is kept of a line too long to carry
}

// OpenFile opens a file, or stdin for "-" (Source is required then). What can't
// be used is refused with an error that has a Hint() string.
func OpenFile(path string, stdin io.Reader, o FileOptions) (*File, error) {
	if path == "-" {
		if o.Source == "" {
			return nil, &FileError{Problem: "standard input has no name", hint: "name the data set with --source NAME"}
		}
		return newFile("standard input", stdin, nil, o)
	}
	if o.Source == "" {
		o.Source = sourceOf(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mta: %w", err)
	}
	f, err := newFile(path, file, file, o)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// NewFile reads CSV from r, which stays open. Source is required.
func NewFile(r io.Reader, o FileOptions) (*File, error) {
	return newFile(o.Source, r, nil, o)
}

func newFile(path string, r io.Reader, ours io.Closer, o FileOptions) (*File, error) {
	if err := CheckSource(o.Source); err != nil {
		return nil, err
	}
	f := &File{input: &input{file: ours}, path: path, source: o.Source, from: uint64(o.FromLine), line: 1}
	err := f.stat(path, r)
	if err != nil {
		return nil, err
	}
	f.scan.live = f.live
	if f.scan.r, err = text(counter{r, &f.count}); err == nil {
		err = f.readHeader(o.Columns)
	}
	if e, ok := errors.AsType[*FileError](err); ok && e.Path == "" {
		e.Path = path
		return nil, e
	}
	if e, ok := errors.AsType[*ColumnsError](err); ok {
		e.Path = path
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("mta: %s: %w", path, err)
	}
	return f, nil
}

// readHeader takes the columns from the first record that is not blank, or
// from what the user typed for a file without a header.
func (f *File) readHeader(typed string) error {
	header := typed
	for header == "" {
		r, err := f.scan.record()
		switch {
		case err == io.EOF: // not a wrapped one, see scanner.fill
			return &FileError{Problem: "is empty", hint: "want a header record, then rows"}
		case err != nil:
			return err
		case r.fault != sound:
			return &ColumnsError{Problem: "line 1 is not a header record: " + r.fault.reason()}
		case !r.blank:
			header = string(f.scan.data[f.scan.pos:][:r.size])
		}
		f.pass(r)
		f.scan.release()
	}
	f.header = cleanHeader(header)
	var err error
	f.columns, err = ParseColumns(f.header)
	return err
}

// Header is the header record, as it travels in [Chunk].Columns.
func (f *File) Header() string { return f.header }

// Source is the data set's name.
func (f *File) Source() string { return f.source }

// Columns says which columns the file has.
func (f *File) Columns() *Columns { return f.columns }

// Next returns the next records, adjacent in the file: at most maxBytes of
// them (but always one record) and at most maxRecords that are not blank (0:
// no limit). It returns io.EOF at the end. Data is valid until the next call.
//
// A faulty record travels alone. A chunk with Records == 0 has nothing but
// blank records: at the end of a file, before a faulty record, or where they
// fill maxBytes. There is nothing in it to send, only Blank to count.
func (f *File) Next(maxBytes, maxRecords int) (Chunk, error) {
	f.scan.release()
	if err := f.passTo(f.from); err != nil {
		return Chunk{}, f.failed(err)
	}
	c := Chunk{Source: f.source, Columns: f.header, Line: uint32(f.line)}
	for maxRecords <= 0 || c.Records < maxRecords {
		r, err := f.scan.record()
		size := f.scan.pos - f.scan.start
		switch {
		case err != nil && size > 0: // first what is whole; the error comes again
			return f.chunk(c), nil
		case err != nil:
			return Chunk{}, f.failed(err)
		case size > 0 && (r.fault != sound || size+r.size > maxBytes):
			return f.chunk(c), nil
		case f.line > math.MaxUint32:
			return f.tooManyLines(c)
		case r.fault == long:
			return f.longLine(c)
		}
		f.pass(r)
		if r.blank {
			c.Blank++
		} else {
			c.Records++
		}
		if r.fault != sound {
			break
		}
	}
	return f.chunk(c), nil
}

// chunk gives c all that was passed since the last one.
func (f *File) chunk(c Chunk) Chunk {
	c.Data = f.scan.data[f.scan.start:f.scan.pos:f.scan.pos]
	return c
}

func (f *File) pass(r record) {
	f.scan.skip(r)
	f.line += uint64(r.lines)
}

// passTo passes over all records that start before a line.
func (f *File) passTo(line uint64) error {
	for f.line < line {
		r, err := f.scan.record()
		switch {
		case err != nil:
			return err
		case r.fault == long:
			if _, err := f.passLong(); err != nil {
				return err
			}
		default:
			f.pass(r)
		}
		f.scan.release()
	}
	return nil
}

// longLine makes a chunk of a line that is too long to carry: the beginning
// and how long it was.
func (f *File) longLine(c Chunk) (Chunk, error) {
	f.long = append(f.long[:0], f.scan.data[f.scan.pos:][:MaxRecord]...)
	length, err := f.passLong()
	if err != nil {
		return Chunk{}, f.failed(err)
	}
	c.Data, c.Length, c.Records = f.long, length, 1
	return c, nil
}

func (f *File) passLong() (length int64, err error) {
	length, lines, err := f.scan.skipLine()
	f.line += uint64(lines)
	return length, err
}

// failed names the file in what reading it ended with, if not with its end.
func (f *File) failed(err error) error {
	if err == io.EOF { // not a wrapped one, see scanner.fill
		return err
	}
	return fmt.Errorf("mta: %s: read: %w", f.path, err)
}

// tooManyLines ends a file whose next record has no number: what is before it
// is returned first.
func (f *File) tooManyLines(c Chunk) (Chunk, error) {
	if f.scan.pos > f.scan.start {
		return f.chunk(c), nil
	}
	return Chunk{}, fmt.Errorf("mta: %s: more than %d lines", f.path, uint32(math.MaxUint32))
}

// The name of a data set: half of a row's identity, so it is checked once,
// where it is made.

// ReservedSource is a name that no data set may have. Package ingest records
// foreign messages under it.
const ReservedSource = "(foreign)"

const maxSource = 200 // bytes; it travels in a subject and in a header

// CheckSource says what is wrong with a data set's name, if anything.
func CheckSource(name string) error {
	problem := ""
	switch {
	case strings.TrimSpace(name) == "":
		problem = "is blank"
	case len(name) > maxSource:
		problem = fmt.Sprintf("has %d bytes, want %d at most", len(name), maxSource)
	case !utf8.ValidString(name):
		problem = "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		problem = "has a control character"
	case strings.TrimSpace(name) != name:
		problem = "begins or ends with a blank"
	case name == ReservedSource:
		problem = "is reserved for foreign messages"
	default:
		return nil
	}
	return &FileError{
		Problem: fmt.Sprintf("the source name %q %s", shorten(name), problem),
		hint:    "give the data set a name with --source NAME",
	}
}

// sourceOf is the name a file has unless it is given another: simple enough to
// say in one sentence, so that no one is surprised.
func sourceOf(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".gz") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// A FileError is a file that can't be used, or can't be named. Its Hint says
// what to type.
type FileError struct {
	Path    string // "" where no file is involved
	Problem string
	hint    string
}

func (e *FileError) Error() string {
	if e.Path == "" {
		return "mta: " + e.Problem
	}
	return "mta: " + e.Path + ": " + e.Problem
}

// Hint says what to do about it.
func (e *FileError) Hint() string { return e.hint }

// shorten cuts a value to what fits into a sentence.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
