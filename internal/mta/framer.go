// The framer finds where records begin and end, and nothing else. The producer
// frames without parsing. The consumer frames each message again, by the same
// rules. The scanner frames what it reads from a file, in bounded memory.

package mta

import (
	"bytes"
	"errors"
	"io"
)

// window is how far a framer searches for the end of a record: the longest
// content and a CRLF. A record that has not ended by then is faulty.
const window = MaxRecord + 2

// A fault is why a stretch of bytes is not a well-formed record.
type fault uint8

const (
	wellFormed     fault = iota
	unclosedQuote        // a quote that is not closed before the data, or MaxRecord, ends
	textAfterQuote       // text between a closing quote and the next comma
	bareQuote            // a quote inside a field that does not start with one
	longLine             // a line longer than MaxRecord; where it ends is not known
)

// A record is the stretch of bytes that a framer found.
type record struct {
	size  int // with line ending; of a long line, only the bytes examined
	lines int // line endings in it
	fault fault
	blank bool
}

// A framer cuts data into records from pos on. It agrees with encoding/csv
// wherever that finds no quote error and no record exceeds MaxRecord. A record
// with a quote error is reduced to its first line: where it would end is a
// guess, and the next line may be well-formed.
type framer struct {
	delimiter byte // 0: a comma
	data      []byte
	pos       int
	final     bool // nothing will follow data
	quote     int  // the first quote at or after pos; stale if before pos
}

// reset gives the framer other data, or the same data at another address.
func (f *framer) reset(data []byte, pos int, final bool) {
	*f = framer{delimiter: f.delimiter, data: data, pos: pos, final: final, quote: -1}
}

// next frames the record at pos without advancing. ok is false at the end of
// the data, and where more data is needed to decide.
func (f *framer) next() (r record, ok bool) {
	rest := f.data[f.pos:]
	if len(rest) == 0 {
		return r, false
	}
	w := rest[:min(len(rest), window)]
	line, ok := f.line(w)
	if !ok || line.fault != wellFormed {
		return line, ok
	}
	if f.firstQuote() >= f.pos+line.size {
		line.blank = isBlank(w[:line.size], f.comma())
		return line, true
	}
	r, ok = f.quoted(w, f.quote-f.pos, line)
	if ok && r.fault == wellFormed {
		r.blank = isBlank(w[:r.size], f.comma())
	}
	return r, ok
}

// skip advances past a record.
func (f *framer) skip(r record) { f.pos += r.size }

// comma returns the byte between fields.
func (f *framer) comma() byte {
	if f.delimiter == 0 {
		return ','
	}
	return f.delimiter
}

// firstQuote returns where the next quote is, or len(data). It is cached, so
// that data without quotes is searched once and not once per record.
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
	if len(withoutEOL(w[:r.size])) > MaxRecord {
		return record{size: len(w), fault: longLine}, true
	}
	return r, true
}

// quoted frames the record at the start of w, whose first quote is at i and
// whose first line is known.
func (f *framer) quoted(w []byte, i int, line record) (record, bool) {
	whole := f.final && len(w) == len(f.data)-f.pos // w's end is the data's end
	eol := line.size                                // the end of the line that i is on
	comma := f.comma()
	for {
		if i > 0 && w[i-1] != comma {
			return firstLineOnly(line, bareQuote), true
		}
		end := closingQuote(w, i+1)
		if end < 0 {
			return firstLineOnly(line, unclosedQuote), whole || len(w) == window
		}
		size, f := afterQuote(w, end+1, comma)
		switch {
		case f == textAfterQuote:
			return firstLineOnly(line, f), true
		case size > 0:
			return withinLimit(w, size, line)
		case end+1 < len(w) && w[end+1] == comma:
			i = end + 2
		case whole:
			return withinLimit(w, len(w), line)
		default: // the window ends here, or more data is needed to decide
			return firstLineOnly(line, unclosedQuote), len(w) == window
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
			return withinLimit(w, eol, line)
		}
		if q < 0 {
			return firstLineOnly(line, unclosedQuote), len(w) == window
		}
		i += q
	}
}

// closingQuote returns where the quote is that ends a quoted field, searching
// from i, or -1.
func closingQuote(w []byte, i int) int {
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

// afterQuote examines what follows a closing quote. It returns the record's size
// at the end of a record, a fault for text, and neither for a comma or the end
// of the data.
func afterQuote(w []byte, i int, comma byte) (size int, f fault) {
	switch {
	case i == len(w) || w[i] == comma:
		return 0, wellFormed
	case w[i] == '\n':
		return i + 1, wellFormed
	case w[i] != '\r':
		return 0, textAfterQuote
	case i+1 == len(w): // at the very end a lone \r is a line ending
		return 0, wellFormed
	case w[i+1] == '\n':
		return i + 2, wellFormed
	}
	return 0, textAfterQuote
}

// withinLimit accepts a quoted record unless it is longer than MaxRecord.
func withinLimit(w []byte, size int, line record) (record, bool) {
	if len(withoutEOL(w[:size])) > MaxRecord {
		return firstLineOnly(line, unclosedQuote), true
	}
	return record{size: size, lines: bytes.Count(w[:size], newline)}, true
}

// firstLineOnly reduces a faulty record to its first line.
func firstLineOnly(line record, f fault) record {
	line.fault = f
	return line
}

var newline = []byte{'\n'}

// withoutEOL returns a record without its line ending: \n, \r\n, or a \r that is the
// last byte of the data, as encoding/csv does.
func withoutEOL(rec []byte) []byte {
	n := len(rec)
	if n > 0 && rec[n-1] == '\n' {
		n--
	}
	if n > 0 && rec[n-1] == '\r' {
		n--
	}
	return rec[:n]
}

// isBlank tells whether all fields of a well-formed record are empty. Files
// saved by Excel end with such records.
func isBlank(rec []byte, comma byte) bool {
	rec = withoutEOL(rec)
	for i := 0; i < len(rec); i++ {
		switch {
		case rec[i] == comma:
		case rec[i] == '"' && i+1 < len(rec) && rec[i+1] == '"' && (i+2 == len(rec) || rec[i+2] == comma):
			i++
		default:
			return false
		}
	}
	return true
}

// reason describes a fault.
func (f fault) reason() string {
	switch f {
	case unclosedQuote:
		return "a quote is not closed"
	case textAfterQuote:
		return "text follows a closing quote"
	case bareQuote:
		return "a quote stands inside a field that does not begin with one"
	case longLine:
		return "the line is too long"
	}
	return ""
}

const firstBuffer = 256 << 10 // grows until it holds two chunks

// errPause says that the next record is incomplete, and that the records before
// it should be returned now.
var errPause = errors.New("mta: no whole record yet")

// A scanner frames what it reads. It keeps the bytes from start on for the chunk
// being assembled. Those before start may be overwritten.
type scanner struct {
	framer
	r     io.Reader
	live  bool // return what has arrived, without waiting for a full buffer
	start int
	err   error // the error that ended reading
}

// record frames the record at pos. It returns io.EOF, or the reader's error,
// once every whole record before it has been framed.
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

// firstLine returns the first line that is not empty, or as much of it as there
// is, without advancing.
func (s *scanner) firstLine() ([]byte, error) {
	for {
		start := bytes.TrimLeft(s.data[s.pos:], "\r\n")
		nl := bytes.IndexByte(start, '\n')
		switch {
		case nl >= 0:
			return start[:nl], nil
		case s.err == io.EOF || len(s.data) > window:
			return start, nil
		case s.err != nil:
			return nil, s.err
		}
		s.fill()
	}
}

// fill reads more data, or finds that there is none.
func (s *scanner) fill() {
	held := s.data[s.start:]
	buf := s.data[:0]
	if 2*len(held) > cap(buf) || cap(buf) == 0 {
		buf = make([]byte, 0, max(2*cap(buf), firstBuffer))
	}
	buf = append(buf, held...)
	n, err := s.read(buf[len(buf):cap(buf)])
	s.err = err
	// A wrapped io.EOF is a failure, such as a connection that was cut. Only a
	// plain one ends the file: else a truncated record would count as whole.
	s.reset(buf[:len(buf)+n], s.pos-s.start, err == io.EOF)
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

// release allows the bytes before pos to be overwritten.
func (s *scanner) release() { s.start = s.pos }

// skipLine advances past a line of any length. It returns the length without
// its ending, and the number of line endings: one, or none at the end of the
// data.
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
