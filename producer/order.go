package main

// Rows in order of time. A file is sorted in pieces that fit into memory, which
// are merged from disk.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/lanrat/extsort"

	"turnstile/internal/mta"
)

// A record is one of a file, on its way through the sorter.
type record struct {
	at     int64 // never: the time can't be read
	line   uint32
	length int64 // as in [mta.Chunk]
	raw    []byte
	// A record that is much longer than rows are waits in the spool: so the
	// sorter, which counts records, stays within its memory.
	spooled, size int64
}

const (
	never  = math.MaxInt64
	piece  = 50_000 // records sorted in memory at a time
	rowish = 1 << 10
)

// A sorted hands out the rows of a file by time, those without one last, in
// the order of the file.
type sorted struct {
	source, header string
	blank          int64
	out            <-chan record
	errs           <-chan error
	spool          *spool
	cancel         context.CancelFunc
	next           *record // taken from out, not handed out
	buf            []byte
}

func sortByTime(ctx context.Context, file *mta.File) (*sorted, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &sorted{source: file.Source(), header: file.Header(), spool: &spool{}, cancel: cancel}
	in := make(chan record, 1024)
	var sorter *extsort.GenericSorter[record]
	sorter, s.out, s.errs = extsort.Generic(in, decode, encode, earlier, &extsort.Config{
		ChunkSize: piece, NumWorkers: 1, SortedChanBuffSize: 1024,
	})
	read := make(chan error, 1)
	go func() {
		defer close(in)
		read <- s.read(ctx, file, in)
	}()
	sorter.Sort(ctx) // returns when all is read
	cause := context.Cause(ctx)
	if cause == nil {
		select {
		case err := <-s.errs: // the sorter gave up, and reads no more
			if err != nil {
				cancel()
				return nil, errors.Join(fmt.Errorf("put %s in order: %w", s.source, err), s.Close())
			}
		case err := <-read:
			cause = err
		}
	}
	if cause != nil {
		return nil, errors.Join(cause, s.Close())
	}
	return s, nil
}

// read takes a file apart.
func (s *sorted) read(ctx context.Context, file *mta.File, in chan<- record) error {
	for {
		c, err := file.Next(1, 1) // one record, whatever its size
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Records == 0 {
			s.blank += int64(c.Blank)
			continue
		}
		r := record{at: never, line: c.Line, length: c.Length}
		if c.Length == 0 {
			if at, ok := file.Columns().When(c.Data); ok {
				r.at = at
			}
		}
		if len(c.Data) <= rowish {
			r.raw = bytes.Clone(c.Data)
		} else if r.spooled, r.size, err = s.spool.put(c.Data); err != nil {
			return err
		}
		select {
		case in <- r:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func earlier(a, b record) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line))
}

func encode(r record) ([]byte, error) {
	b := make([]byte, 0, 32+len(r.raw))
	for _, n := range []int64{r.at, int64(r.line), r.length, r.spooled, r.size} {
		b = binary.AppendVarint(b, n)
	}
	return append(b, r.raw...), nil
}

func decode(b []byte) (r record, err error) {
	var line int64
	for _, to := range []*int64{&r.at, &line, &r.length, &r.spooled, &r.size} {
		n, size := binary.Varint(b)
		if size <= 0 {
			return r, io.ErrUnexpectedEOF
		}
		*to, b = n, b[size:]
	}
	r.line, r.raw = uint32(line), b
	return r, nil
}

// Next returns the next rows: more than one only where they are neighbours in
// the file as well. A message has nothing else.
func (s *sorted) Next(maxBytes, maxRecords int) (mta.Chunk, error) {
	first, err := s.take()
	if err != nil {
		return mta.Chunk{}, err
	}
	c := mta.Chunk{Source: s.source, Columns: s.header, Line: first.line, Length: first.length, Data: first.raw, Records: 1}
	if first.size > 0 {
		c.Data, err = s.spool.get(first.spooled, first.size)
		return c, err
	}
	if first.at == never {
		return c, nil // a record that can't be read travels alone
	}
	line := first.line + lines(first.raw)
	s.buf = append(s.buf[:0], first.raw...)
	for maxRecords == 0 || c.Records < maxRecords {
		r, err := s.take()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c, err
		}
		if r.line != line || r.at == never || r.size > 0 || len(s.buf)+len(r.raw) > maxBytes {
			s.next = &r
			break
		}
		s.buf = append(s.buf, r.raw...)
		c.Records++
		line += lines(r.raw)
	}
	c.Data = s.buf
	return c, nil
}

func lines(raw []byte) uint32 { return uint32(bytes.Count(raw, []byte{'\n'})) }

func (s *sorted) take() (record, error) {
	if s.next != nil {
		r := *s.next
		s.next = nil
		return r, nil
	}
	r, ok := <-s.out
	if ok {
		return r, nil
	}
	if err := <-s.errs; err != nil {
		return r, fmt.Errorf("put %s in order: %w", s.source, err)
	}
	return r, io.EOF
}

// Close ends the sorter, which then removes what it has on disk.
func (s *sorted) Close() error {
	s.cancel()
	for range s.out {
	}
	return s.spool.Close()
}

// A spool is a temporary file that is only ever appended to. The zero value
// has none until something is put into it.
type spool struct {
	f    *os.File
	size int64
}

func (s *spool) put(b []byte) (at, size int64, err error) {
	if s.f == nil {
		if s.f, err = os.CreateTemp("", "turnstile-producer-*"); err != nil {
			return 0, 0, err
		}
	}
	at = s.size
	n, err := s.f.Write(b)
	s.size += int64(n)
	return at, int64(n), err
}

func (s *spool) get(at, size int64) ([]byte, error) {
	b := make([]byte, size)
	_, err := s.f.ReadAt(b, at)
	return b, err
}

func (s *spool) Close() error {
	if s.f == nil {
		return nil
	}
	return errors.Join(s.f.Close(), os.Remove(s.f.Name()))
}
