package main

// What is too long to be sorted in memory waits in a file.

import (
	"errors"
	"os"
)

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
