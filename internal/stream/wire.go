package stream

// The form of a message: a chunk's bytes as they stand in the file, headers
// that say where that is, and the names on the wire.

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

// The names on the wire. Any NATS client may use them.
const (
	Name = "MTA" // of the stream

	rowSubjects     = "mta.ridership." // subjects of the stream, then the source
	requestSubjects = "mta.now."       // subjects of requests, then the source
	confirmSubjects = "turnstile.confirm."

	sourceHeader  = "Turnstile-Source"
	lineHeader    = "Turnstile-Line"    // of the first record
	columnsHeader = "Turnstile-Columns" // the header record
	confirmHeader = "Turnstile-Confirm" // optional: who wants to hear of the commit
	lengthHeader  = "Turnstile-Length"  // optional: of a line too long to carry, in bytes

	// encodingHeader is optional. Its only value is snappy: the body is one block
	// of the Snappy block format, not the framed format.
	encodingHeader = "Content-Encoding"
	snappy         = "snappy"
)

// MaxMessage is the most bytes of a message, headers included. NATS itself
// allows 1 MiB unless told otherwise.
const MaxMessage = 960 << 10

// windowBytes is how many bytes may be on their way to the broker, or from it,
// at a time. More gains nothing and costs memory.
const windowBytes = 8 << 20

// Subject is where the rows of a source are published.
func Subject(source string) string { return rowSubjects + subjectToken(source) }

// subjectToken makes a subjectToken of a subject out of a name. Two names may share one: it
// is for people and filters, the header has the name itself.
func subjectToken(name string) string {
	return strings.Map(func(r rune) rune {
		if isTokenChar(r) {
			return r
		}
		return '_'
	}, name)
}

func isTokenChar(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// isConfirmSubject says whether we may publish to a subject that a stranger named.
// Without this check a message could name $JS.ACK... and have the consumer
// itself remove a row from the queue that is not stored yet.
func isConfirmSubject(subject string) bool {
	rest, ok := strings.CutPrefix(subject, confirmSubjects)
	if !ok || len(subject) > 128 {
		return false
	}
	for t := range strings.SplitSeq(rest, ".") {
		if t == "" || strings.ContainsFunc(t, func(r rune) bool { return !isTokenChar(r) }) {
			return false
		}
	}
	return true
}

var lineBreaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// encode makes a message of a chunk. A column name with a line break in it
// travels with a blank instead, for a header can't hold one.
func encode(subject string, c mta.Chunk) (*nats.Msg, error) {
	if len(c.Columns) > math.MaxUint16/2 {
		return nil, fmt.Errorf("stream: %s: the header record has %d bytes, want %d at most", c.Source, len(c.Columns), math.MaxUint16/2)
	}
	m := &nats.Msg{Subject: subject, Data: c.Data, Header: nats.Header{
		sourceHeader:  {c.Source},
		lineHeader:    {strconv.FormatUint(uint64(c.Line), 10)},
		columnsHeader: {lineBreaks.Replace(c.Columns)},
	}}
	if c.Length != 0 {
		m.Header.Set(lengthHeader, strconv.FormatInt(c.Length, 10))
	}
	return m, nil
}

// A larger body is compressed. Smaller ones stay readable on the wire.
const maxPlainBody = 4 << 10

var compressBuffers = sync.Pool{New: func() any { return new([]byte) }}

// compress replaces the body of a message by one Snappy block, if that is
// smaller. It reports whether it did.
func compress(m *nats.Msg) bool {
	if len(m.Data) <= maxPlainBody {
		return false
	}
	buffer := compressBuffers.Get().(*[]byte)
	defer compressBuffers.Put(buffer)
	*buffer = s2.EncodeSnappy((*buffer)[:cap(*buffer)], m.Data)
	if len(*buffer) >= len(m.Data) {
		return false
	}
	m.Data = bytes.Clone(*buffer) // of its exact size: the publisher keeps it
	m.Header.Set(encodingHeader, snappy)
	return true
}

// framed begins a body in Snappy's other format, the framed one.
var framed = []byte("\xff\x06\x00\x00sNaPpY")

// decompress returns the body of a message in plain form. It checks the length
// that a block claims before it takes memory: a few bytes may claim 4 GiB.
func decompress(h nats.Header, body []byte) ([]byte, error) {
	encoding, ok := h[encodingHeader]
	if !ok {
		return body, nil
	}
	if len(encoding) != 1 || encoding[0] != snappy {
		return nil, fmt.Errorf("header %s is %.20q, want %s", encodingHeader, strings.Join(encoding, ","), snappy)
	}
	if bytes.HasPrefix(body, framed) {
		return nil, errors.New("its body is in Snappy's framed format, want one block")
	}
	n, err := s2.DecodedLen(body)
	if err != nil {
		return nil, errors.New("its body is not a Snappy block")
	}
	if n > MaxMessage {
		return nil, fmt.Errorf("its Snappy block claims %d bytes, want %d at most", n, MaxMessage)
	}
	plain, err := s2.Decode(make([]byte, n), body)
	if err != nil {
		return nil, fmt.Errorf("its Snappy block is damaged: %w", err)
	}
	return plain, nil
}

// Overhead is about how many bytes of a message are not the chunk's.
func Overhead(source, columns string) int { return 256 + 2*len(source) + len(columns) }

// decode returns the message's rows, or an error if it is not a turnstile message. Anyone
// may publish: nothing is taken on trust.
func decode(h nats.Header, body []byte) (c mta.Chunk, err error) {
	if len(h[sourceHeader]) == 0 && len(h[lineHeader]) == 0 {
		return c, errors.New("not a turnstile message: it has no Turnstile headers")
	}
	c = mta.Chunk{Source: h.Get(sourceHeader), Columns: h.Get(columnsHeader), Data: body}
	if err := mta.CheckSource(c.Source); err != nil {
		return c, fmt.Errorf("header %s: %w", sourceHeader, err)
	}
	line, err := strconv.ParseUint(h.Get(lineHeader), 10, 32)
	if err != nil || line == 0 {
		return c, fmt.Errorf("header %s is %.20q, want a line number", lineHeader, h.Get(lineHeader))
	}
	c.Line = uint32(line)
	if len(body) == 0 {
		return c, errors.New("it has no rows")
	}
	if last := line + uint64(bytes.Count(body, []byte{'\n'})); last > math.MaxUint32 {
		return c, fmt.Errorf("its last line would be %d, want %d at most", last, uint32(math.MaxUint32))
	}
	if length, ok := h[lengthHeader]; ok {
		c.Length, err = strconv.ParseInt(length[0], 10, 64)
		if err != nil || c.Length < int64(len(body)) {
			return c, fmt.Errorf("header %s is %.20q, want the length of a line", lengthHeader, length[0])
		}
	}
	return c, nil
}
