// The bytes under a File: counted, unpacked, without BOM.

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

// An input is an opened file. What it counts is what was read of the file
// itself, so that progress is known for a compressed one, too.
type input struct {
	file  io.Closer // nil where it is not ours to close
	count atomic.Int64
	size  int64 // -1 where it is not known
	live  bool  // someone may still be writing: what has come is not held back
}

// Offset is how many bytes of the underlying file were read, compressed ones
// for a .gz: for progress. It may be called from another goroutine.
func (in *input) Offset() int64 { return in.count.Load() }

// Size is the underlying file's size in bytes, -1 if it is not known.
func (in *input) Size() int64 { return in.size }

// Close closes the underlying file; standard input stays open.
func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// stat learns size and nature of what was opened.
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

// A counter counts what is read through it.
type counter struct {
	r     io.Reader
	count *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count.Add(int64(n))
	return n, err
}

// Beginnings that tell what a file is. Names lie; these don't.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zipMagic  = []byte("PK\x03\x04")
	bom       = []byte("\xef\xbb\xbf")
	utf16LE   = []byte{0xff, 0xfe}
	utf16BE   = []byte{0xfe, 0xff}
)

// text unpacks r if it is compressed, drops a BOM, and refuses what can't be
// CSV. The errors say so; the reader yields plain text.
func text(r io.Reader) (io.Reader, error) {
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

// peek is Peek without complaint about a file that is shorter.
func peek(r *bufio.Reader, n int) ([]byte, error) {
	head, err := r.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}
