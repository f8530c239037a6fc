// A File is a CSV file read as a stream of chunks, by the producer, by load and
// by verify.

package mta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FileOptions say how to read a file.
type FileOptions struct {
	Source   string // the data set's name; "" takes the file's base name without .gz
	Columns  string // the header record, for a file without one: its line 1 is a row
	FromLine uint32 // skips the records that start before this line

	// Delimiter separates fields. 0 detects it: a comma, unless the first line
	// has none.
	Delimiter byte
}

// A File is an open CSV file. It is for one goroutine, except for Offset.
type File struct {
	*input
	path    string
	source  string
	header  string
	columns *Columns
	from    uint64

	scan scanner
	line uint64 // of the record at scan.pos
	long []byte // the start of a line longer than MaxRecord

	// If fields are not separated by commas, a chunk is converted records
	// instead of adjacent bytes of the file.
	converted []byte
	scratch   []byte
}

// OpenFile opens a file, or stdin for "-", which needs a Source. For a file that
// can't be used the error is a *FileError or a *ColumnsError. When ctx ends,
// reading ends with its cause, even on an idle pipe.
func OpenFile(ctx context.Context, path string, stdin io.Reader, o FileOptions) (*File, error) {
	name, r, closer := path, stdin, io.Closer(nil)
	switch {
	case o.Source == "" && isDescriptor(path):
		return nil, &FileError{Kind: BadSource, Problem: path + " has no name of its own"}
	case path != "-":
		file, err := openFile(ctx, path)
		if err != nil {
			return nil, err
		}
		r, closer = file, file
		o.Source = cmp.Or(o.Source, DefaultSource(path))
	case o.Source == "":
		return nil, &FileError{Kind: BadSource, Problem: "standard input has no name"}
	default:
		name = "standard input"
	}
	in := newInput(r, closer)
	f, err := newFile(ctx, in, name, o)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return f, nil
}

// NewFile reads CSV from r, which Close does not close. It needs a Source.
func NewFile(r io.Reader, o FileOptions) (*File, error) {
	return newFile(context.Background(), newInput(r, nil), o.Source, o)
}

func newFile(ctx context.Context, in *input, path string, o FileOptions) (*File, error) {
	if err := CheckSource(o.Source); err != nil {
		return nil, err
	}
	if err := in.stat(path); err != nil {
		return nil, err
	}
	f := &File{input: in, path: path, source: o.Source, from: uint64(o.FromLine), line: 1}
	f.scan.live = f.live
	r, err := plainText(in.reader(ctx))
	if err == nil {
		f.scan.r = r
		err = f.setDelimiter(o.Delimiter)
	}
	if err == nil {
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
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// readHeader takes the columns from typed, or else from the first record that
// is not blank.
func (f *File) readHeader(typed string) error {
	header := string(convertTyped(typed, f.Delimiter()))
	for header == "" {
		r, err := f.scan.record()
		switch {
		case err == io.EOF: // not a wrapped io.EOF, see scanner.fill
			return &FileError{Kind: IsEmpty, Problem: "is empty"}
		case err != nil:
			return err
		case r.fault != wellFormed:
			return &ColumnsError{Problem: "line 1 is not a header record: " + r.fault.reason()}
		case !r.blank:
			header = string(f.recordBytes(r))
		}
		f.advance(r)
		f.scan.release()
	}
	f.header = cleanHeader(header)
	var err error
	f.columns, err = ParseColumns(f.header)
	if err != nil && strings.ContainsFunc(header, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
		return &FileError{Kind: IsBinary, Problem: "is not text"}
	}
	return err
}

// Delimiter returns what separates the fields of the file. A chunk has commas in
// any case.
func (f *File) Delimiter() byte { return f.scan.comma() }

// Header returns the header record, as in [Chunk].Columns.
func (f *File) Header() string { return f.header }

// Source returns the data set's name.
func (f *File) Source() string { return f.source }

// Columns returns which columns the file has.
func (f *File) Columns() *Columns { return f.columns }

// Next returns the next chunk: at most maxBytes (but at least one record) and at
// most maxRecords that are not blank (0: no limit). It returns io.EOF at the
// end. Data is valid until the next call.
//
// A faulty record has a chunk of its own. A chunk with Records == 0 has only
// blank records: at the end of a file, before a faulty record, or where they
// fill maxBytes. It need not be sent.
func (f *File) Next(maxBytes, maxRecords int) (Chunk, error) {
	f.scan.release()
	f.converted = f.converted[:0]
	if err := f.skipTo(f.from); err != nil {
		return Chunk{}, f.readError(err)
	}
	c := Chunk{Source: f.source, Columns: f.header, Line: int64(f.line)}
	for maxRecords <= 0 || c.Records < maxRecords {
		r, err := f.scan.record()
		raw, size := f.recordBytes(r), f.pending()
		switch {
		case err != nil && size > 0: // whole records first; the next call returns the error
			return f.chunk(c), nil
		case err != nil:
			return Chunk{}, f.readError(err)
		case size > 0 && (r.fault != wellFormed || size+len(raw) > maxBytes):
			return f.chunk(c), nil
		case f.line > math.MaxUint32:
			return f.lineLimit(c)
		case r.fault == longLine:
			return f.longLine(c)
		}
		if f.converts() {
			f.converted = append(f.converted, raw...)
		}
		f.advance(r)
		if r.blank {
			c.Blank++
		} else {
			c.Records++
		}
		if r.fault != wellFormed {
			break
		}
	}
	return f.chunk(c), nil
}

// chunk gives c the bytes that were framed since the last chunk.
func (f *File) chunk(c Chunk) Chunk {
	c.Data = f.scan.data[f.scan.start:f.scan.pos:f.scan.pos]
	if f.converts() {
		c.Data = f.converted
	}
	return c
}

func (f *File) advance(r record) {
	f.scan.skip(r)
	f.line += uint64(r.lines)
}

// skipTo skips all records that start before a line.
func (f *File) skipTo(line uint64) error {
	for f.line < line {
		r, err := f.scan.record()
		switch {
		case err != nil:
			return err
		case r.fault == longLine:
			if _, err := f.skipLongLine(); err != nil {
				return err
			}
		default:
			f.advance(r)
		}
		f.scan.release()
	}
	return nil
}

// longLine returns the chunk for a line longer than MaxRecord: its start and its
// length.
func (f *File) longLine(c Chunk) (Chunk, error) {
	f.long = append(f.long[:0], f.scan.data[f.scan.pos:][:MaxRecord]...)
	length, err := f.skipLongLine()
	if err != nil {
		return Chunk{}, f.readError(err)
	}
	c.Data, c.Length, c.Records = f.long, length, 1
	return c, nil
}

func (f *File) skipLongLine() (length int64, err error) {
	length, lines, err := f.scan.skipLine()
	f.line += uint64(lines)
	return length, err
}

// readError adds the file's name to an error, except to io.EOF.
func (f *File) readError(err error) error {
	if err == io.EOF { // not a wrapped io.EOF, see scanner.fill
		return err
	}
	if e, ok := errors.AsType[*FileError](err); ok {
		return &FileError{f.path, e.Kind, fmt.Sprintf("%s at line %d", e.Problem, f.line)}
	}
	return fmt.Errorf("%s: read: %w", f.path, err)
}

// lineLimit ends a file whose next record is beyond the largest line number. It
// returns the records before that one first.
func (f *File) lineLimit(c Chunk) (Chunk, error) {
	if f.pending() > 0 {
		return f.chunk(c), nil
	}
	return Chunk{}, fmt.Errorf("%s: more than %d lines", f.path, uint32(math.MaxUint32))
}

// ReservedSource is a name that no data set may have. Package ingest records
// foreign messages under it.
const ReservedSource = "(foreign)"

const maxSource = 200 // bytes; a subject and a header carry it

// CheckSource returns a *FileError for a name that a data set can't have. The
// name is half of a row's identity.
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
		Kind:    BadSource,
		Problem: fmt.Sprintf("the source name %q %s", shorten(name), problem),
	}
}

// DefaultSource returns the default name of a file's data set: its base name
// without .gz.
func DefaultSource(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".gz") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// isDescriptor reports whether path is an open file of this process, as in a shell's
// <(COMMAND). The next one may have the same number, and is another data set.
func isDescriptor(path string) bool {
	path = filepath.ToSlash(path)
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

// A FileError is a file that can't be used, or a data set's name that can't.
type FileError struct {
	Path    string // "" where no file is involved
	Kind    FileErrorKind
	Problem string
}

// A FileErrorKind tells the errors of a file apart.
type FileErrorKind int

// The reasons to refuse a file.
const (
	BadSource FileErrorKind = iota + 1 // the data set has no name, or one that is not allowed
	IsFolder
	IsEmpty
	IsUTF16
	IsWorkbook
	IsArchive // compressed, other than by gzip
	IsHTML    // a page, such as the answer to a failed download
	IsBinary
	IsDamaged // compressed, and cut off or changed
)

func (e *FileError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

// shorten truncates a value so that it fits into a sentence.
func shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
