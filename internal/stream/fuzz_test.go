package stream

// What another program may publish or answer: any headers, any bytes.

import (
	"bytes"
	"math"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

// FuzzDecode checks headers and body of a message, as ingest does: decompress, then
// decode.
func FuzzDecode(f *testing.F) {
	rows := []byte("02/01/2022 05:00:00 AM,445,5\n")
	f.Add("a.csv", "2", "transit_timestamp,station_complex_id,ridership", "", "", rows)
	f.Add("a.csv", "4294967295", "ridership", "99", "", rows)
	f.Add("a.csv", "2", "ridership", "", "snappy", s2.EncodeSnappy(nil, bytes.Repeat(rows, 1000)))
	f.Add("a.csv", "2", "ridership", "", "snappy", []byte("\xff\x06\x00\x00sNaPpY"))
	f.Add("a.csv", "2", "ridership", "", "snappy", []byte("\x80\x80\x80\x80\x04"))
	f.Fuzz(func(t *testing.T, source, line, columns, length, encoding string, body []byte) {
		h := nats.Header{sourceHeader: {source}, lineHeader: {line}, columnsHeader: {columns}}
		if length != "" {
			h.Set(lengthHeader, length)
		}
		if encoding != "" {
			h.Set(encodingHeader, encoding)
		}
		plain, err := decompress(h, body)
		if err != nil {
			return
		}
		if encoding != "" && len(plain) > MaxMessage {
			t.Errorf("%d bytes decompressed, want %d at most", len(plain), MaxMessage)
		}
		c, err := decode(h, plain)
		if err != nil {
			return
		}
		last := c.Line + int64(bytes.Count(plain, []byte{'\n'}))
		if mta.CheckSource(c.Source) != nil || c.Line < 1 || last > math.MaxUint32 || len(c.Data) == 0 || (c.Length != 0 && c.Length < int64(len(c.Data))) {
			t.Errorf("accepted: source %q, line %d, length %d, %d bytes", c.Source, c.Line, c.Length, len(c.Data))
		}
		// What is accepted can be sent again, and arrives the same.
		m, err := encode(Subject(c.Source), c)
		if err != nil {
			return // columns that are too long
		}
		compress(m)
		again, err := decompress(m.Header, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		c2, err := decode(m.Header, again)
		c.Columns = lineBreaks.Replace(c.Columns)
		if err != nil || c2.Source != c.Source || c2.Line != c.Line || c2.Columns != c.Columns || c2.Length != c.Length || !bytes.Equal(c2.Data, c.Data) {
			t.Errorf("sent %+v, received %+v, %v", c, c2, err)
		}
	})
}

// FuzzAnswers decodes what other programs may send instead of an answer to a
// request, a summary, or a subject for a confirmation.
func FuzzAnswers(f *testing.F) {
	f.Add(commitSummaries, "", []byte(`{"version":1}`))
	f.Add("turnstile.confirm.x", noResponders, []byte(`{"stored":1,"already_there":0,"rejected":0}`))
	f.Add("$JS.ACK.MTA.writer.1.1.1.1.1", "", []byte(`{"error":"no"}`))
	f.Fuzz(func(t *testing.T, subject, status string, body []byte) {
		outcome, err := decodeAnswer(&nats.Msg{Header: nats.Header{"Status": {status}}, Data: body})
		if err != nil && outcome != (mta.Outcome{}) {
			t.Errorf("outcome %v and error %v", outcome, err)
		}
		if summary, err := decodeSummary(subject, body); err != nil && summary != nil {
			t.Errorf("summary %v and error %v", summary, err)
		}
		if isConfirmSubject(subject) && (!bytes.HasPrefix([]byte(subject), []byte(confirmSubjects)) || bytes.ContainsAny([]byte(subject), "*>$ \r\n\t")) {
			t.Errorf("a confirmation may be sent to %q", subject)
		}
	})
}
