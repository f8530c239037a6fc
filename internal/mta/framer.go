// Where records begin and end, and nothing else: the producer frames without
// parsing, and the consumer frames a message again by the same rules.

package mta

import (
	"bytes"
	"errors"
	"io"
)

// window is how far a framer looks for the end of a record: its longest
// content and a CRLF. What has not ended in it never will.
const window = MaxRecord + 2

// A fault is what keeps a record from being one.
type fault uint8

const (
	sound     fault = iota
	unclosed        // a quote that is not closed before the data, or MaxRecord, ends
	afterward       // text between a closing quote and the next comma
	bare            // a quote inside a field that does not start with one
	long            // a line longer than MaxRecord; where it ends is not known
)

// A record is the stretch of bytes a framer found.
type record struct {
	size  int // with line ending; of a long one, only what was looked at
	lines int // line endings in it
	fault fault
	blank bool
}

// A framer cuts data into records from pos on. It agrees with encoding/csv
// wherever that finds no quote error and no record exceeds MaxRecord. A record
// with a quote error is cut back to its first line, because where it would end
// is a guess, and the next line may be a good one.
type framer struct {
	data  []byte
	pos   int
	final bool // nothing will follow data
	quote int  // the first quote at or after pos; stale if before pos
}

// set gives the framer other data, or the same data in another place.
func (f *framer) set(data []byte, pos int, final bool) {
	*f = framer{data: data, pos: pos, final: final, quote: -1}
}

// next frames the record at pos without going past it. It is not ok at the end
// of the data, and where it takes more data to tell.
func (f *framer) next() (r record, ok bool) {
	rest := f.data[f.pos:]
	if len(rest) == 0 {
		return r, false
	}
	w := rest[:min(len(rest), window)]
	line, ok := f.line(w)
	if !ok || line.fault != sound {
		return line, ok
	}
	if f.firstQuote() >= f.pos+line.size {
		line.blank = isBlank(w[:line.size])
		return line, true
	}
	r, ok = f.quoted(w, f.quote-f.pos, line)
	if ok && r.fault == sound {
		r.blank = isBlank(w[:r.size])
	}
	return r, ok
}

// skip goes past a record.
func (f *framer) skip(r record) { f.pos += r.size }

// firstQuote is where the next quote stands, or len(data). It is remembered,
// so that data without quotes is searched once and not once a record.
func (f *framer) firstQuote() int {
	if f.quote < f.pos {
		f.quote = len(f.data)
		if i := bytes.IndexByte(f.data[f.pos:], '"'); i >= 0 {
			f.quote = f.pos + i
		}
	}
	return f.quote
}

// line frames the physical line at the start of w.
func (f *framer) line(w []byte) (r record, ok bool) {
	nl := bytes.IndexByte(w, '\n')
	switch {
	case nl >= 0:
		r = record{size: nl + 1, lines: 1}
	case len(w) < window && !f.final:
		return r, false
	default:
		r = record{size: len(w)}
	}
	if len(content(w[:r.size])) > MaxRecord {
		return record{size: len(w), fault: long}, true
	}
	return r, true
}

// quoted frames the record at the start of w, whose first quote is at i and
// whose first line is known.
func (f *framer) quoted(w []byte, i int, line record) (record, bool) {
	whole := f.final && len(w) == len(f.data)-f.pos // w's end is the data's end
	eol := line.size                                // the end of the line that i is on
	for {
		if i > 0 && w[i-1] != ',' {
			return cutBack(line, bare), true
		}
		end := closing(w, i+1)
		if end < 0 {
			return cutBack(line, unclosed), whole || len(w) == window
		}
		size, f := afterQuote(w, end+1)
		switch {
		case f == afterward:
			return cutBack(line, f), true
		case size > 0:
			return fits(w, size, line)
		case end+1 < len(w) && w[end+1] == ',':
			i = end + 2
		case whole:
			return fits(w, len(w), line)
		default: // the window ends right here, or more data has to tell
			return cutBack(line, unclosed), len(w) == window
		}
		if i < len(w) && w[i] == '"' {
			continue
		}
		if eol < i {
			eol = len(w)
			if nl := bytes.IndexByte(w[i:], '\n'); nl >= 0 {
				eol = i + nl + 1
			}
		}
		q := bytes.IndexByte(w[i:eol], '"')
		if q < 0 && (whole || w[eol-1] == '\n') {
			return fits(w, eol, line)
		}
		if q < 0 {
			return cutBack(line, unclosed), len(w) == window
		}
		i += q
	}
}

// closing is where the quote that ends a quoted field stands, from i on, or -1.
func closing(w []byte, i int) int {
	for {
		q := bytes.IndexByte(w[i:], '"')
		if q < 0 {
			return -1
		}
		i += q
		if i+1 >= len(w) || w[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// afterQuote looks at what follows a closing quote: the end of the record (its
// size), text that must not be there, or neither: a comma, or nothing yet.
func afterQuote(w []byte, i int) (size int, f fault) {
	switch {
	case i == len(w) || w[i] == ',':
		return 0, sound
	case w[i] == '\n':
		return i + 1, sound
	case w[i] != '\r':
		return 0, afterward
	case i+1 == len(w): // at the very end a lone \r is a line ending
		return 0, sound
	case w[i+1] == '\n':
		return i + 2, sound
	}
	return 0, afterward
}

// fits accepts a quoted record unless it is too long.
func fits(w []byte, size int, line record) (record, bool) {
	if len(content(w[:size])) > MaxRecord {
		return cutBack(line, unclosed), true
	}
	return record{size: size, lines: bytes.Count(w[:size], newline)}, true
}

// cutBack gives up on a record: all that is left of it is its first line.
func cutBack(line record, f fault) record {
	line.fault = f
	return line
}

var newline = []byte{'\n'}

// content is a record without its line ending: \n, \r\n, or a \r that is the
// very last byte of the data, as encoding/csv has it.
func content(rec []byte) []byte {
	n := len(rec)
	if n > 0 && rec[n-1] == '\n' {
		n--
	}
	if n > 0 && rec[n-1] == '\r' {
		n--
	}
	return rec[:n]
}

// isBlank tells whether all fields of a sound record are empty, as at the end
// of what Excel saved.
func isBlank(rec []byte) bool {
	rec = content(rec)
	for i := 0; i < len(rec); i++ {
		switch {
		case rec[i] == ',':
		case rec[i] == '"' && i+1 < len(rec) && rec[i+1] == '"' && (i+2 == len(rec) || rec[i+2] == ','):
			i++
		default:
			return false
		}
	}
	return true
}

// reason says a fault in words.
func (f fault) reason() string {
	switch f {
	case unclosed:
		return "a quote is not closed"
	case afterward:
		return "text follows a closing quote"
	case bare:
		return "a quote stands inside a field that does not begin with one"
	case long:
		return "the line is too long"
	}
	return ""
}

// Records out of a reader, in bounded memory.

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
