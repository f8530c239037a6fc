package stream

// The message format: the body holds the chunk's bytes, unchanged from the file. The
// headers hold its source and line.

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

// Names on the wire. Any NATS client may use them.
const (
	Name = "MTA" // of the stream

	rowSubjects     = "mta.ridership." // subjects of the stream, then the source
	requestSubjects = "mta.now."       // subjects of requests, then the source
	confirmSubjects = "turnstile.confirm."
	inboxSubjects   = "_INBOX." // reply subjects of clients that set no prefix, such as the nats CLI

	sourceHeader  = "Turnstile-Source"
	lineHeader    = "Turnstile-Line"    // of the first record
	columnsHeader = "Turnstile-Columns" // the header record
	confirmHeader = "Turnstile-Confirm" // optional: subject for the confirmation after the commit
	lengthHeader  = "Turnstile-Length"  // optional: bytes of a line that is too long to carry

	// encodingHeader is optional. Its only value is snappy: the body is one block
	// of the Snappy block format, not the framed format.
	encodingHeader = "Content-Encoding"
	snappy         = "snappy"
)

// MaxMessage is the size limit of a message in bytes, headers included. The default
// limit of NATS is 1 MiB.
const MaxMessage = 960 << 10

// windowBytes limits the bytes in flight, to the broker and from it. A larger window
// is not faster, and costs memory.
const windowBytes = 8 << 20

// Subject returns the subject for the rows of a source.
func Subject(source string) string { return rowSubjects + subjectToken(source) }

// subjectToken returns a name as one token of a subject. Two names may have the same
// token. It is for people and filters; the header holds the exact name.
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

// isConfirmSubject reports whether the consumer may publish to a subject from a
// message. Without this check, a foreign message could name $JS.ACK... and make the
// consumer acknowledge a row that is not stored.
func isConfirmSubject(subject string) bool { return isBelow(confirmSubjects, subject) }

// isReplySubject reports whether the consumer may answer a request on a subject. An
// inbox is safe as well: the broker acts on no message there.
func isReplySubject(subject string) bool {
	return isConfirmSubject(subject) || isBelow(inboxSubjects, subject)
}

// isBelow reports whether a subject is prefix and then plain tokens.
func isBelow(prefix, subject string) bool {
	rest, ok := strings.CutPrefix(subject, prefix)
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

// encode returns the message of a chunk. It replaces line breaks in column names by
// spaces, because a header can't hold them.
func encode(subject string, c mta.Chunk) (*nats.Msg, error) {
	if len(c.Columns) > math.MaxUint16/2 {
		return nil, fmt.Errorf("%s: the header record has %d bytes, want %d at most", c.Source, len(c.Columns), math.MaxUint16/2)
	}
	m := &nats.Msg{Subject: subject, Data: c.Data, Header: nats.Header{
		sourceHeader:  {c.Source},
		lineHeader:    {strconv.FormatInt(c.Line, 10)},
		columnsHeader: {lineBreaks.Replace(c.Columns)},
	}}
	if c.Length != 0 {
		m.Header.Set(lengthHeader, strconv.FormatInt(c.Length, 10))
	}
	return m, nil
}

// maxPlainBody is the largest body that stays uncompressed, in bytes. Small messages
// stay readable on the wire.
const maxPlainBody = 4 << 10

var compressBuffers = sync.Pool{New: func() any { return new([]byte) }}

// compress replaces the body of a message by one Snappy block if that is smaller. It
// reports whether it did.
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
	m.Data = bytes.Clone(*buffer) // exact size: the publisher retains it
	m.Header.Set(encodingHeader, snappy)
	return true
}

// framedPrefix starts a body in the framed format of Snappy.
var framedPrefix = []byte("\xff\x06\x00\x00sNaPpY")

// decompress returns the uncompressed body of a message. It checks the declared
// length before it allocates: a few bytes may declare 4 GiB.
func decompress(h nats.Header, body []byte) ([]byte, error) {
	encoding, ok := h[encodingHeader]
	if !ok {
		return body, nil
	}
	if len(encoding) != 1 || encoding[0] != snappy {
		return nil, fmt.Errorf("header %s is %.20q, want %s", encodingHeader, strings.Join(encoding, ","), snappy)
	}
	if bytes.HasPrefix(body, framedPrefix) {
		return nil, errors.New("the body is in Snappy's framed format, want one block")
	}
	n, err := s2.DecodedLen(body)
	if err != nil {
		return nil, errors.New("the body is not a Snappy block")
	}
	if n > MaxMessage {
		return nil, fmt.Errorf("the Snappy block declares %d bytes, want %d at most", n, MaxMessage)
	}
	plain, err := s2.Decode(make([]byte, n), body)
	if err != nil {
		return nil, fmt.Errorf("the Snappy block is corrupt: %w", err)
	}
	return plain, nil
}

// Overhead returns the approximate size of a message without its body, in bytes.
func Overhead(source, columns string) int { return 256 + 2*len(source) + len(columns) }

// decode returns the message's rows, or an error if it is not a turnstile message.
// Any program may publish, so it validates every field.
func decode(h nats.Header, body []byte) (c mta.Chunk, err error) {
	if missing := missingHeaders(h); len(missing) > 0 {
		return c, fmt.Errorf("not a turnstile message: it has no header %s", strings.Join(missing, ", "))
	}
	c = mta.Chunk{Source: h.Get(sourceHeader), Columns: h.Get(columnsHeader), Data: body}
	if err := mta.CheckSource(c.Source); err != nil {
		return c, fmt.Errorf("header %s: %w", sourceHeader, err)
	}
	line, err := strconv.ParseUint(h.Get(lineHeader), 10, 32)
	if err != nil || line == 0 {
		return c, fmt.Errorf("header %s is %.20q, want a line number", lineHeader, h.Get(lineHeader))
	}
	c.Line = int64(line)
	if len(body) == 0 {
		return c, errors.New("the message has no rows")
	}
	if last := line + uint64(bytes.Count(body, []byte{'\n'})); last > math.MaxUint32 {
		return c, fmt.Errorf("the last line would be %d, want %d at most", last, uint32(math.MaxUint32))
	}
	if length, ok := h[lengthHeader]; ok {
		c.Length, err = strconv.ParseInt(length[0], 10, 64)
		if err != nil || c.Length < int64(len(body)) {
			return c, fmt.Errorf("header %s is %.20q, want the length of a line", lengthHeader, length[0])
		}
	}
	return c, nil
}

// missingHeaders returns the required headers that h does not have.
func missingHeaders(h nats.Header) (missing []string) {
	for _, name := range []string{sourceHeader, lineHeader, columnsHeader} {
		if len(h[name]) == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}
