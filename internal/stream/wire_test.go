package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"

	"turnstile/internal/mta"
)

func TestWire(t *testing.T) {
	for _, c := range []mta.Chunk{
		{Source: "a b.csv", Columns: `"a",b`, Line: 2, Data: []byte("1,2\r\n,\n")},
		{Source: "日本", Columns: " a", Line: math.MaxUint32, Data: []byte("x")},
		{Source: "long", Columns: "a", Line: 7, Data: []byte("xxx"), Length: 1 << 40},
	} {
		m, err := encode(Subject(c.Source), c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(m.Header, m.Data)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("sent %+v, got %+v, %v", c, got, err)
		}
	}
}

// manyRows returns n rows as the portal writes them.
func manyRows(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "2022-02-01T%02d:00:00.000,subway,%d,\"Fulton St (A,C,J,Z,2,3,4,5)\",Manhattan,omny,OMNY - Full Fare,%d,0,40.71,-74.00,POINT (-74.00 40.71)\n",
			i/1000%24, 600+i%40, i%97)
	}
	return b.Bytes()
}

func TestCompress(t *testing.T) {
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for name, c := range map[string]struct {
		body []byte
		want bool
	}{
		"a row":          {manyRows(1), false},
		"4 KiB":          {manyRows(40)[:maxPlainBody], false},
		"many rows":      {manyRows(5000), true},
		"incompressible": {random, false},
	} {
		m, err := encode("s", mta.Chunk{Source: "s", Columns: "a", Line: 2, Data: c.body})
		if err != nil {
			t.Fatal(err)
		}
		if got := compress(m); got != c.want || (len(m.Header[encodingHeader]) > 0) != c.want {
			t.Errorf("%s: compressed %v, want %v; %v", name, got, c.want, m.Header)
		}
		if c.want && len(m.Data)*5 > len(c.body) {
			t.Errorf("%s: %d bytes became %d", name, len(c.body), len(m.Data))
		}
		got, err := decompress(m.Header, m.Data)
		if err != nil || !bytes.Equal(got, c.body) {
			t.Errorf("%s: %d bytes came back as %d, %v", name, len(c.body), len(got), err)
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	block := s2.EncodeSnappy(nil, manyRows(100))
	var framedBody bytes.Buffer
	w := s2.NewWriter(&framedBody, s2.WriterSnappyCompat())
	if _, err := w.Write(manyRows(100)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		encoding []string
		body     []byte
		want     string
	}{
		"unknown":      {[]string{"gzip"}, block, "want snappy"},
		"no value":     {[]string{""}, block, "want snappy"},
		"two":          {[]string{"snappy", "gzip"}, block, "want snappy"},
		"framed":       {[]string{"snappy"}, framedBody.Bytes(), "framed"},
		"empty":        {[]string{"snappy"}, nil, "not a Snappy block"},
		"no block":     {[]string{"snappy"}, []byte("\xff\xff\xff\xff\xff\xff"), "not a Snappy block"},
		"claims 1 GiB": {[]string{"snappy"}, binary.AppendUvarint(nil, 1<<30), "declares 1073741824 bytes"},
		"too long":     {[]string{"snappy"}, s2.EncodeSnappy(nil, make([]byte, MaxMessage+1)), "declares 983041 bytes"},
		"cut off":      {[]string{"snappy"}, block[:len(block)/2], "corrupt"},
		"more behind":  {[]string{"snappy"}, append(bytes.Clone(block), 'x'), "corrupt"},
	} {
		if _, err := decompress(nats.Header{encodingHeader: c.encoding}, c.body); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	// A block of nothing is a message without rows.
	d := Delivery{header: nats.Header{sourceHeader: {"a"}, lineHeader: {"2"}, columnsHeader: {"a"}, encodingHeader: {snappy}}, body: s2.EncodeSnappy(nil, nil)}
	if _, err := d.Chunk(); err == nil || !strings.Contains(err.Error(), "no rows") {
		t.Errorf("a block of nothing: got %v", err)
	}
}

func BenchmarkCompress(b *testing.B) {
	rows := manyRows(6000)
	b.ReportAllocs()
	b.SetBytes(int64(len(rows)))
	for b.Loop() {
		m, err := encode("s", mta.Chunk{Source: "s", Columns: "a", Line: 2, Data: rows})
		if err != nil || !compress(m) {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecompress(b *testing.B) {
	m, err := encode("s", mta.Chunk{Source: "s", Columns: "a", Line: 2, Data: manyRows(6000)})
	if err != nil || !compress(m) {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(manyRows(6000))))
	for b.Loop() {
		if _, err := decompress(m.Header, m.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWireColumnsWithLineBreak(t *testing.T) {
	m, err := encode("s", mta.Chunk{Source: "s", Columns: "a,\"b\r\nc\"", Line: 2, Data: []byte("x")})
	if got := m.Header.Get(columnsHeader); err != nil || got != `a,"b c"` {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWireHeaderTooLong(t *testing.T) {
	if _, err := encode("s", mta.Chunk{Source: "s", Columns: strings.Repeat("x", 40_000), Line: 2}); err == nil {
		t.Error("a header the server can't store must be refused, or it would be sent again for ever")
	}
}

func TestForeign(t *testing.T) {
	header := func(kv ...string) nats.Header {
		h := nats.Header{sourceHeader: {"a.csv"}, lineHeader: {"2"}, columnsHeader: {"a"}}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	without := func(name string) nats.Header {
		h := header()
		h.Del(name)
		return h
	}
	for name, c := range map[string]struct {
		header nats.Header
		body   string
		want   string
	}{
		"no headers":           {nil, "hello", "no header Turnstile-Source, Turnstile-Line, Turnstile-Columns"},
		"no source":            {without(sourceHeader), "x", "no header " + sourceHeader},
		"no line":              {without(lineHeader), "x", "no header " + lineHeader},
		"no columns":           {without(columnsHeader), "x", "no header " + columnsHeader},
		"no body":              {header(), "", "no rows"},
		"line 0":               {header(lineHeader, "0"), "x", "line number"},
		"line not a number":    {header(lineHeader, "+1"), "x", "line number"},
		"line too great":       {header(lineHeader, "4294967296"), "x", "line number"},
		"last line too great":  {header(lineHeader, "4294967295"), "x\ny\n", "last line"},
		"blank source":         {header(sourceHeader, " "), "x", sourceHeader},
		"reserved source":      {header(sourceHeader, mta.ReservedSource), "x", sourceHeader},
		"source not UTF-8":     {header(sourceHeader, "\xff"), "x", sourceHeader},
		"length not a number":  {header(lengthHeader, "-1"), "x", lengthHeader},
		"length below content": {header(lengthHeader, "1"), "xyz", lengthHeader},
	} {
		if _, err := decode(c.header, []byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestConfirmable(t *testing.T) {
	for subject, want := range map[string]bool{
		"turnstile.confirm.Ab1_-":                           true,
		"turnstile.confirm.a.b":                             true,
		"turnstile.confirm.":                                false,
		"turnstile.confirm.a..b":                            false,
		"turnstile.confirm.*":                               false,
		"turnstile.confirm.a.>":                             false,
		"turnstile.confirm.a b":                             false,
		"turnstile.confirm.ä":                               false,
		"turnstile.confirm." + strings.Repeat("a", 128):     false,
		"$JS.ACK.MTA.writer.1.1.1.1.1":                      false,
		"turnstile.confirm.a\r\nPUB $JS.ACK.MTA.writer.1 0": false,
		"mta.ridership.a":                                   false,
		"":                                                  false,
	} {
		if isConfirmSubject(subject) != want {
			t.Errorf("%q: want %v", subject, want)
		}
	}
}

func TestReplySubjects(t *testing.T) {
	for subject, want := range map[string]bool{
		"turnstile.confirm.x":            true,
		"_INBOX.Ab1.x":                   true,
		"_INBOX.":                        false,
		"_INBOX.>":                       false,
		"_INBOX.a b":                     false,
		"_INBOX_producer.x":              false,
		"_INBOX.a\r\nPUB $JS.ACK.x 0":    false,
		"$JS.API.STREAM.PURGE.MTA":       false,
		"$JS.ACK.MTA.writer-1.1.1.1.1.0": false,
		"mta.ridership.a":                false,
		"":                               false,
	} {
		if isReplySubject(subject) != want {
			t.Errorf("%q: want %v", subject, want)
		}
	}
	if isConfirmSubject("_INBOX.Ab1.x") {
		t.Error("a header may name the inbox of another client")
	}
}

func TestSubject(t *testing.T) {
	if got := Subject("a b.c>d*é-_9.csv"); got != "mta.ridership.a_b_c_d__-_9_csv" {
		t.Errorf("got %s", got)
	}
}
