// Records out of a reader, in bounded memory.

package mta

import (
	"bytes"
	"errors"
	"io"
)

const firstBuffer = 256 << 10 // grows until a chunk fits in it twice

// errPause says that there is no whole record yet, and that what came before
// it should not wait for one.
var errPause = errors.New("mta: no whole record yet")

// A scanner frames what it reads. The bytes from start on are held for the
// chunk that is being put together; those before it may be dropped.
type scanner struct {
	framer
	r     io.Reader
	live  bool // hand on what has come, don't wait for a full buffer
	start int
	err   error // what reading ended with
}

// record frames the record at pos. It ends with io.EOF, or with the error of
// the reader when all that was whole before it has been framed.
func (s *scanner) record() (record, error) {
	for {
		r, ok := s.next()
		switch {
		case ok:
			return r, nil
		case s.err != nil:
			return r, s.err
		case s.live && s.pos > s.start:
			return r, errPause
		}
		s.fill()
	}
}

// fill reads more, or learns that there is no more.
func (s *scanner) fill() {
	held := s.data[s.start:]
	buf := s.data[:0]
	if 2*len(held) > cap(buf) || cap(buf) == 0 {
		buf = make([]byte, 0, max(2*cap(buf), firstBuffer))
	}
	buf = append(buf, held...)
	n, err := s.read(buf[len(buf):cap(buf)])
	s.err = err
	// A wrapped io.EOF is not the end but a failure on the way, such as a
	// connection cut: what it left must not pass for a whole record.
	s.set(buf[:len(buf)+n], s.pos-s.start, err == io.EOF)
	s.start = 0
}

func (s *scanner) read(space []byte) (n int, err error) {
	for idle := 0; n < len(space); {
		got, err := s.r.Read(space[n:])
		n += got
		if idle++; got > 0 {
			idle = 0
		}
		switch {
		case err != nil:
			return n, err
		case idle == 100:
			return n, io.ErrNoProgress
		case s.live && n > 0:
			return n, nil
		}
	}
	return n, nil
}

// release lets go of all that stands before pos.
func (s *scanner) release() { s.start = s.pos }

// skipLine goes past a line of any length and returns how long it was, its
// ending not counted, and how many line endings that took: one, or none at the
// end of the data.
func (s *scanner) skipLine() (length int64, lines int, err error) {
	for cr := 0; ; {
		rest := s.data[s.pos:]
		nl := bytes.IndexByte(rest, '\n')
		if nl >= 0 {
			rest = rest[:nl]
		}
		length += int64(len(rest))
		if len(rest) > 0 {
			cr = len(rest) - len(bytes.TrimSuffix(rest, []byte{'\r'}))
		}
		s.pos += len(rest)
		s.release()
		switch {
		case nl >= 0:
			s.pos++
			s.release()
			return length - int64(cr), 1, nil
		case s.final:
			return length - int64(cr), 0, nil
		case s.err != nil:
			return length, 0, s.err
		}
		s.fill()
	}
}
