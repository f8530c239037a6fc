package mta

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// framed is a record as a test writes it down.
type framed struct {
	raw   string
	line  int
	fault fault
	blank bool
}

func show(all []framed) string {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, " %d:%.40q/%d/%t", r.line, r.raw, r.fault, r.blank)
	}
	return b.String()
}

// frameAll frames data that is all there.
func frameAll(t testing.TB, data []byte) []framed {
	t.Helper()
	var all []framed
	line := 1
	var f framer
	for f.reset(data, 0, true); ; {
		r, ok := f.next()
		if !ok {
			break
		}
		if r.fault == longLine {
			r.size, r.lines = wholeLine(data[f.pos:])
		}
		if r.size <= 0 {
			t.Fatalf("no way forward at byte %d of %q", f.pos, data)
		}
		all = append(all, framed{string(data[f.pos:][:r.size]), line, r.fault, r.blank})
		f.skip(r)
		line += r.lines
	}
	if f.pos != len(data) {
		t.Fatalf("framing ended at byte %d of %d", f.pos, len(data))
	}
	return all
}

func TestFramer(t *testing.T) {
	x := strings.Repeat("x", MaxRecord)
	for _, test := range []struct {
		name, data string
		want       []framed
	}{
		{"nothing", "", nil},
		{"plain", "a,b\nc,d\n", []framed{{raw: "a,b\n", line: 1}, {raw: "c,d\n", line: 2}}},
		{"CRLF, lone last line", "a,b\r\nc,d", []framed{{raw: "a,b\r\n", line: 1}, {raw: "c,d", line: 2}}},
		{"quoted newline", "a,\"b\nc\"\nd\n", []framed{{raw: "a,\"b\nc\"\n", line: 1}, {raw: "d\n", line: 3}}},
		{"doubled quotes", "\"a \"\"b\"\"\",c\nd\n", []framed{{raw: "\"a \"\"b\"\"\",c\n", line: 1}, {raw: "d\n", line: 2}}},
		{"quoted, CRLF", "\"a\"\r\nb\r\n", []framed{{raw: "\"a\"\r\n", line: 1}, {raw: "b\r\n", line: 2}}},
		{"\\r at the end", "\"a\"\r", []framed{{raw: "\"a\"\r", line: 1}}},
		{"empty last field", "\"a\",", []framed{{raw: "\"a\",", line: 1}}},
		{"blanks", "\n,,\r\n\"\",\"\"\n\"\"\"\"\n ,\n", []framed{
			{raw: "\n", line: 1, blank: true},
			{raw: ",,\r\n", line: 2, blank: true},
			{raw: "\"\",\"\"\n", line: 3, blank: true},
			{raw: "\"\"\"\"\n", line: 4},
			{raw: " ,\n", line: 5},
		}},
		{"stray quote", "a\"b,c\nd\n", []framed{{raw: "a\"b,c\n", line: 1, fault: bareQuote}, {raw: "d\n", line: 2}}},
		{"stray quote after a quoted newline", "\"a\nb\",c\"\nd\n", []framed{
			{raw: "\"a\n", line: 1, fault: bareQuote},
			{raw: "b\",c\"\n", line: 2, fault: bareQuote},
			{raw: "d\n", line: 3},
		}},
		{"text after a quote", "\"a\"b,c\nd\n", []framed{{raw: "\"a\"b,c\n", line: 1, fault: textAfterQuote}, {raw: "d\n", line: 2}}},
		{"never closed", "\"a,b\nc,d\ne,f", []framed{
			{raw: "\"a,b\n", line: 1, fault: unclosedQuote},
			{raw: "c,d\n", line: 2},
			{raw: "e,f", line: 3},
		}},
		{"not closed in time", "\"a\n" + x + "\nb\"\n", []framed{
			{raw: "\"a\n", line: 1, fault: unclosedQuote},
			{raw: x + "\n", line: 2},
			{raw: "b\"\n", line: 3, fault: bareQuote},
		}},
		{"closed just in time", "\"\n" + x[3:] + "\"\r\nb\n", []framed{{raw: "\"\n" + x[3:] + "\"\r\n", line: 1}, {raw: "b\n", line: 3}}},
		{"closed too late by a byte", "\"\n" + x[2:] + "\"\nb\n", []framed{
			{raw: "\"\n", line: 1, fault: unclosedQuote},
			{raw: x[2:] + "\"\n", line: 2, fault: bareQuote},
			{raw: "b\n", line: 3},
		}},
		{"as long as may be", x + "\r\n" + x + "\n" + x, []framed{{raw: x + "\r\n", line: 1}, {raw: x + "\n", line: 2}, {raw: x, line: 3}}},
		{"a byte too long", x + "x\r\n" + x + "x\n" + x + "x", []framed{
			{raw: x + "x\r\n", line: 1, fault: longLine},
			{raw: x + "x\n", line: 2, fault: longLine},
			{raw: x + "x", line: 3, fault: longLine},
		}},
		{"far too long, quoted", "\"" + x + x + "\n\"\nb\n", []framed{
			{raw: "\"" + x + x + "\n", line: 1, fault: longLine},
			{raw: "\"\n", line: 2, fault: unclosedQuote},
			{raw: "b\n", line: 3},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := frameAll(t, []byte(test.data))
			if !slices.Equal(got, test.want) {
				t.Errorf("framed %q\ngot  %s\nwant %s", shorten(test.data), show(got), show(test.want))
			}
		})
	}
}

// FuzzFramer holds the framer against encoding/csv, which must agree where it
// finds no quote error and no record is too long.
func FuzzFramer(f *testing.F) {
	for _, seed := range csvSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = stretch(data)
		got := frameAll(t, data)
		want, ok := frameByStdlib(data)
		if !ok {
			return
		}
		got = slices.DeleteFunc(got, func(r framed) bool { return len(withoutEOL([]byte(r.raw))) == 0 })
		if !slices.Equal(got, want) {
			t.Errorf("framed %.300q\ngot  %s\nwant %s", data, show(got), show(want))
		}
	})
}

// frameByStdlib frames with encoding/csv, which passes over empty lines. It is
// not ok where the two need not agree.
func frameByStdlib(data []byte) (all []framed, ok bool) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	for last := int64(0); ; last = r.InputOffset() {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, true
		}
		if err != nil {
			return nil, false
		}
		raw := data[last:r.InputOffset()]
		for len(raw) > 0 && (raw[0] == '\n' || bytes.HasPrefix(raw, []byte("\r\n"))) {
			raw = raw[bytes.IndexByte(raw, '\n')+1:]
		}
		if len(withoutEOL(raw)) > MaxRecord {
			return nil, false
		}
		line, _ := r.FieldPos(0)
		all = append(all, framed{raw: string(raw), line: line, blank: strings.Join(fields, "") == ""})
	}
}

// stretch makes records near MaxRecord out of few bytes: fuzzing never gets
// there by itself.
func stretch(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte{1}, bytes.Repeat([]byte{'x'}, MaxRecord-8))
	return bytes.ReplaceAll(data, []byte{2}, []byte("xxx"))
}

// csvSeeds are the seeds of fuzzing. Every run of the tests uses them.
var csvSeeds = []string{
	"", "\n", "\r", "\r\n", "a", "a,b\nc,d", "a,b\r\nc,d\r\n", "\n\n,,\n\"\",\"\"\r\n,\"\",",
	"\"a\",\"b\"\n\"c\",\"d\"\n", "\"a,b\",c\n\"d\ne\",f\n", "\"a\"\"b\"\n\"\"\"\"\n\"\"\n", "\"a\r\nb\"\r\n", "\"a\"\r", "a\r\r\n", "\"a\"\r\r\n",
	"a\"b\nc\n", "\"a\"b\nc\n", "\"a\nb\n", "\"a\nb\"c\nd\n", "a,\"\n", "\"\n\"\n\"", "\"a\nb\",c\"d\ne\n",
	"\x01\n", "\x01xxxxxxxx\n", "\x01xxxxxxxx\r\nb\n", "\x01\x02\x02\x02\nb\n", "\x01\x01\nb", "\"\n\x01xxx\"\n", "\"\n\x01xxxx\"\r\n", "\"\n\x01xxxxxxx\"\n",
	"\"a\n\x01\n\x01\nb\"\nc\n", "\"\x01\x01\"\n\"b\"\n", "\"a\",\x01\x02\x02\r\nb", "\x01xxxxxxxx\r", "\"\x01xxxxxx\"\r", "\xff\xfe\n\x00,\x00\n",
}
