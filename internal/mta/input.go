// An input is the bytes of a file: counted, decompressed, without BOM.

package mta

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// An input is an open file. It counts the bytes read of the file itself, which
// is the progress for a compressed file as well.
type input struct {
	closer io.Closer // nil if the caller closes it
	count  atomic.Int64
	size   int64 // -1 if unknown
	live   bool  // a pipe or terminal: rows are returned as they arrive
}

// Offset returns how many bytes of the underlying file were read: compressed
// bytes for a .gz. It may be called from another goroutine.
func (in *input) Offset() int64 { return in.count.Load() }

// Size returns the underlying file's size in bytes, or -1 if it is unknown.
func (in *input) Size() int64 { return in.size }

// Close closes the underlying file; standard input stays open.
func (in *input) Close() error {
	if in.closer == nil {
		return nil
	}
	return in.closer.Close()
}

// stat sets size and live, and refuses a folder.
func (in *input) stat(path string, r io.Reader) error {
	in.size = -1
	file, ok := r.(interface{ Stat() (os.FileInfo, error) }) // an *os.File, or what wraps one
	if !ok {
		return nil
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("mta: %w", err)
	case info.IsDir():
		return &FileError{Path: path, Problem: "is a folder", hint: "name the CSV files in it"}
	case info.Mode().IsRegular():
		in.size = info.Size()
	default:
		in.live = true
	}
	return nil
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
	zipMagic  = []byte("PK\x03\x04")
	bom       = []byte("\xef\xbb\xbf")
	utf16LE   = []byte{0xff, 0xfe}
	utf16BE   = []byte{0xfe, 0xff}
)

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
			return nil, fmt.Errorf("unpack: %w", err)
		}
		plain = bufio.NewReader(unpacked)
	}
	if head, err = peek(plain, len(zipMagic)); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, bom):
		_, err = plain.Discard(len(bom))
		return plain, err
	case bytes.HasPrefix(head, utf16LE), bytes.HasPrefix(head, utf16BE):
		return nil, &FileError{Problem: "is UTF-16, want UTF-8", hint: "convert it: iconv -f UTF-16 -t UTF-8 FILE"}
	case bytes.Equal(head, zipMagic):
		return nil, &FileError{Problem: "is a workbook or a .zip, want CSV", hint: "save it as CSV, or unpack it"}
	}
	return plain, nil
}

// peek is Peek, without the error for a file shorter than n.
func peek(r *bufio.Reader, n int) ([]byte, error) {
	head, err := r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}
