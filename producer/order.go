package main

// --order time: an external merge sort. Runs that fit into memory are sorted,
// written to disk and merged.

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

// A record is one record of a file inside the sorter.
type record struct {
	at     int64 // noTime if it can't be read
	line   int64
	length int64 // as in [mta.Chunk]
	raw    []byte
	// A record over maxInlineRecord bytes is in the spool at this offset, with
	// this size. The sorter counts records, not bytes: without the spool a file
	// of huge records would exceed its memory.
	offset, size int64
}

const (
	noTime          = math.MaxInt64
	recordsPerRun   = 50_000
	maxInlineRecord = 1 << 10
)

// A timeOrdered returns the rows of a file by time. Rows without a readable
// time come last, in the order of the file.
type timeOrdered struct {
	source, header string
	blank          int64
	out            <-chan record
	errs           <-chan error
	spool          *spool
	cancel         context.CancelFunc
	next           *record // read from out and not returned yet
	buf            []byte
}

// orderByTime reads and sorts the whole file. The first row returned is that of line
// from; 0 means the oldest.
func orderByTime(ctx context.Context, file *mta.File, from int64) (*timeOrdered, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &timeOrdered{source: file.Source(), header: file.Header(), spool: &spool{}, cancel: cancel}
	in := make(chan record, 1024)
	var sorter *extsort.GenericSorter[record]
	sorter, s.out, s.errs = extsort.Generic(in, decodeRecord, encodeRecord, compareTimes, &extsort.Config{
		ChunkSize: recordsPerRun, NumWorkers: 1, SortedChanBuffSize: 1024,
	})
	read := make(chan error, 1)
	go func() {
		defer close(in)
		read <- s.read(ctx, file, in)
	}()
	sorter.Sort(ctx) // returns when the input is read
	cause := context.Cause(ctx)
	if cause == nil {
		select {
		case cause = <-read: // it was there before the sorter knew that this was all
		default: // the sorter failed and reads no more
			cause = fmt.Errorf("sort %s by time: %w", s.source, <-s.errs)
		}
	}
	if cause == nil {
		cause = s.skipTo(from)
	}
	if cause != nil {
		return nil, errors.Join(cause, s.Close())
	}
	return s, nil
}

// skipTo skips the rows that are older than that of a line.
func (s *timeOrdered) skipTo(line int64) error {
	for line > 0 {
		r, err := s.take()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: no record begins at line %d", s.source, line)
		}
		if err != nil {
			return err
		}
		if r.line == line {
			s.next = &r
			return nil
		}
	}
	return nil
}

// read sends every record of the file to the sorter.
func (s *timeOrdered) read(ctx context.Context, file *mta.File, in chan<- record) error {
	for {
		c, err := file.Next(1, 1) // one record, of any size
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
		r := record{at: noTime, line: c.Line, length: c.Length}
		if c.Length == 0 {
			if at, ok := file.Columns().When(c.Data); ok {
				r.at = at
			}
		}
		if len(c.Data) <= maxInlineRecord {
			r.raw = bytes.Clone(c.Data)
		} else if r.offset, r.size, err = s.spool.put(c.Data); err != nil {
			return err
		}
		select {
		case in <- r:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func compareTimes(a, b record) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line))
}

func encodeRecord(r record) ([]byte, error) {
	b := make([]byte, 0, 32+len(r.raw))
	for _, n := range []int64{r.at, r.line, r.length, r.offset, r.size} {
		b = binary.AppendVarint(b, n)
	}
	return append(b, r.raw...), nil
}

func decodeRecord(b []byte) (r record, err error) {
	for _, to := range []*int64{&r.at, &r.line, &r.length, &r.offset, &r.size} {
		n, size := binary.Varint(b)
		if size <= 0 {
			return r, io.ErrUnexpectedEOF
		}
		*to, b = n, b[size:]
	}
	r.raw = b
	return r, nil
}

// Next returns the next rows by time. A chunk holds several rows only if they
// are adjacent in the file too, because a message names only its first line.
func (s *timeOrdered) Next(maxBytes, maxRecords int) (mta.Chunk, error) {
	first, err := s.take()
	if err != nil {
		return mta.Chunk{}, err
	}
	c := mta.Chunk{Source: s.source, Columns: s.header, Line: first.line, Length: first.length, Data: first.raw, Records: 1}
	if first.size > 0 {
		c.Data, err = s.spool.get(first.offset, first.size)
		return c, err
	}
	if first.at == noTime {
		return c, nil // a malformed record must not share a message
	}
	line := first.line + countLines(first.raw)
	s.buf = append(s.buf[:0], first.raw...)
	for maxRecords == 0 || c.Records < maxRecords {
		r, err := s.take()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c, err
		}
		if r.line != line || r.at == noTime || r.size > 0 || len(s.buf)+len(r.raw) > maxBytes {
			s.next = &r
			break
		}
		s.buf = append(s.buf, r.raw...)
		c.Records++
		line += countLines(r.raw)
	}
	c.Data = s.buf
	return c, nil
}

func countLines(raw []byte) int64 { return int64(bytes.Count(raw, []byte{'\n'})) }

func (s *timeOrdered) take() (record, error) {
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
		return r, fmt.Errorf("sort %s by time: %w", s.source, err)
	}
	return r, io.EOF
}

// Close stops the sorter, which then removes its temporary files.
func (s *timeOrdered) Close() error {
	s.cancel()
	for range s.out {
	}
	return s.spool.Close()
}

// A spool is an append-only temporary file for records too long to be sorted in
// memory. The zero value creates the file with the first record.
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
