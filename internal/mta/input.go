// An input is the bytes of a file: counted, decompressed, without BOM.

package mta

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// An input is an open file. It counts the bytes read of the file itself, which
// is the progress for a compressed file as well.
type input struct {
	r      io.Reader
	closer io.Closer // nil if the caller closes it
	cancel func()    // ends the goroutine of an interruptibleReader
	count  atomic.Int64
	size   int64 // -1 if unknown
	live   bool  // a pipe or terminal: rows are returned as they arrive
}

func newInput(r io.Reader, closer io.Closer) *input {
	return &input{r: r, closer: closer, cancel: func() {}, size: -1}
}

// reader returns the bytes of the file. Only a regular file is read directly: a
// read of anything else may block.
func (in *input) reader(ctx context.Context) io.Reader {
	r := in.r
	if in.size < 0 && ctx.Done() != nil {
		ctx, in.cancel = context.WithCancel(ctx)
		r = newInterruptibleReader(ctx, r)
	}
	return countingReader{r, &in.count}
}

// Offset returns how many bytes of the underlying file were read: compressed
// bytes for a .gz. It may be called from another goroutine.
func (in *input) Offset() int64 { return in.count.Load() }

// Size returns the underlying file's size in bytes, or -1 if it is unknown.
func (in *input) Size() int64 { return in.size }

// Close closes the underlying file; standard input stays open.
func (in *input) Close() error {
	in.cancel()
	if in.closer == nil {
		return nil
	}
	return in.closer.Close()
}

// stat sets size and live, and refuses a folder.
func (in *input) stat(path string) error {
	file, ok := in.r.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return &FileError{Path: path, Kind: IsFolder, Problem: "is a folder"}
	case info.Mode().IsRegular():
		in.size = info.Size()
	default:
		in.live = true
	}
	return nil
}

// IsStream tells whether path can be read only once: "-", a named pipe, a
// terminal, the pipe of a process substitution.
func IsStream(path string) bool {
	if path == "-" {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// openFile opens a file. Opening a named pipe blocks until it has a writer, so
// it happens on a goroutine, which is abandoned if ctx ends.
func openFile(ctx context.Context, path string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	opened := make(chan result)
	go func() {
		file, err := os.Open(path)
		select {
		case opened <- result{file, err}:
		case <-ctx.Done():
			file.Close()
		}
	}()
	select {
	case r := <-opened:
		return r.file, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// An interruptibleReader reads until ctx ends. A read that blocks on a pipe or
// terminal can't be cancelled, so it happens on a goroutine. That goroutine ends
// with the first read that returns after ctx has ended.
type interruptibleReader struct {
	ctx    context.Context
	blocks chan block
	free   chan []byte // buffers for the goroutine
	block  block       // the block being returned
	rest   []byte      // the part of it that is not returned yet
}

// A block is what one read returned.
type block struct {
	buffer []byte
	n      int
	err    error
}

const blockSize = 64 << 10 // the capacity of a pipe on Linux

func newInterruptibleReader(ctx context.Context, r io.Reader) *interruptibleReader {
	i := &interruptibleReader{ctx: ctx, blocks: make(chan block), free: make(chan []byte, 2)}
	i.free <- make([]byte, blockSize)
	i.free <- make([]byte, blockSize)
	go i.readBlocks(r)
	return i
}

// readBlocks reads one block ahead.
func (i *interruptibleReader) readBlocks(r io.Reader) {
	for {
		var b block
		select {
		case b.buffer = <-i.free:
		case <-i.ctx.Done():
			return
		}
		b.n, b.err = r.Read(b.buffer)
		select {
		case i.blocks <- b:
		case <-i.ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

func (i *interruptibleReader) Read(p []byte) (int, error) {
	for len(i.rest) == 0 {
		if i.block.err != nil {
			return 0, i.block.err
		}
		if i.block.buffer != nil {
			i.free <- i.block.buffer
			i.block.buffer = nil
		}
		select {
		case i.block = <-i.blocks:
			i.rest = i.block.buffer[:i.block.n]
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// A countingReader counts the bytes read through it.
type countingReader struct {
	r     io.Reader
	count *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count.Add(int64(n))
	return n, err
}

// First bytes of a file by which its format is recognised, whatever its name.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	bom       = []byte("\xef\xbb\xbf")
	utf16LE   = []byte{0xff, 0xfe}
	utf16BE   = []byte{0xfe, 0xff}
)

// formats are those that users take for CSV.
var formats = []struct {
	start, inside string // the first 4 KiB begin with start and contain inside
	kind          FileErrorKind
	name          string
}{
	{"PK\x03\x04", "xl/", IsWorkbook, "a workbook"}, // .xlsx
	{"PK\x03\x04", "opendocument.spreadsheet", IsWorkbook, "a workbook"},
	{"PK\x03\x04", "", IsArchive, "a .zip"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "", IsWorkbook, "a workbook"}, // .xls
	{"7z\xbc\xaf\x27\x1c", "", IsArchive, "a .7z"},
	{"\xfd7zXZ\x00", "", IsArchive, "a .xz"},
	{"\x28\xb5\x2f\xfd", "", IsArchive, "a .zst"},
	{"BZh", "1AY&SY", IsArchive, "a .bz2"},
	{"SQLite format 3\x00", "", IsBinary, "a SQLite database"},
	{"PAR1", "", IsBinary, "a Parquet file"},
	{"%PDF-", "", IsBinary, "a PDF"},
	{"\x89PNG\r\n\x1a\n", "", IsBinary, "an image"},
	{"\xff\xd8\xff", "", IsBinary, "an image"}, // JPEG
	{"GIF8", "", IsBinary, "an image"},
	{"<", "", IsHTML, "HTML or XML"},
}

// plainText decompresses r if needed and skips a BOM. It returns a *FileError
// for what can't be CSV.
func plainText(r io.Reader) (io.Reader, error) {
	plain := bufio.NewReader(r)
	head, err := peek(plain, len(gzipMagic))
	if err != nil {
		return nil, err
	}
	if bytes.Equal(head, gzipMagic) {
		unpacked, err := gzip.NewReader(plain)
		if err != nil {
			return nil, damaged(err)
		}
		plain = bufio.NewReader(gzipReader{unpacked})
	}
	if head, err = peek(plain, 4); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, bom):
		_, err = plain.Discard(len(bom))
		return plain, err
	case bytes.HasPrefix(head, utf16LE), bytes.HasPrefix(head, utf16BE), isUTF16(head):
		return nil, &FileError{Kind: IsUTF16, Problem: "is UTF-16, want UTF-8"}
	}
	read, err := plain.Peek(plain.Buffered()) // a pipe may give no more now
	if err != nil {
		return nil, err
	}
	for _, f := range formats {
		if bytes.HasPrefix(read, []byte(f.start)) && bytes.Contains(read, []byte(f.inside)) {
			return nil, &FileError{Kind: f.kind, Problem: "is " + f.name + ", want CSV"}
		}
	}
	return plain, nil
}

// A gzipReader tells what is wrong with the compressed file.
type gzipReader struct{ unpacked io.Reader }

func (r gzipReader) Read(p []byte) (int, error) {
	n, err := r.unpacked.Read(p)
	return n, damaged(err)
}

// damaged returns a *FileError for an error that is about the content of a compressed
// file, and other errors as they are.
func damaged(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{Kind: IsDamaged, Problem: "the compressed file is cut off"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, new(flate.CorruptInputError)):
		return &FileError{Kind: IsDamaged, Problem: "the compressed file is damaged"}
	}
	return err
}

// isUTF16 recognises UTF-16 without a byte order mark: every other byte of ASCII
// text is zero.
func isUTF16(head []byte) bool {
	return len(head) == 4 && (head[0] == 0 && head[2] == 0 || head[1] == 0 && head[3] == 0)
}

// peek is Peek, without the error for a file shorter than n.
func peek(r *bufio.Reader, n int) ([]byte, error) {
	head, err := r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}
