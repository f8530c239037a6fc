package stream

import (
	"math"
	"reflect"
	"strings"
	"testing"

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
	for name, c := range map[string]struct {
		header nats.Header
		body   string
		want   string
	}{
		"no headers":           {nil, "hello", "no Turnstile headers"},
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

func TestSubject(t *testing.T) {
	if got := Subject("a b.c>d*é-_9.csv"); got != "mta.ridership.a_b_c_d__-_9_csv" {
		t.Errorf("got %s", got)
	}
}
