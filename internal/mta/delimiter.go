// Files whose fields are separated by semicolons, tabs or bars. Messages and
// rejects always have commas, so each record is converted when it is framed.

package mta

import (
	"bytes"
	"strings"
)

// setDelimiter sets what separates fields, or detects it in the first line.
func (f *File) setDelimiter(delimiter byte) error {
	if delimiter == 0 {
		line, err := f.scan.firstLine()
		if err != nil {
			return err
		}
		delimiter = detectDelimiter(line)
	}
	if delimiter != ',' {
		f.scan.delimiter = delimiter
	}
	return nil
}

// detectDelimiter returns a comma, or the most frequent alternative in a line
// without one.
func detectDelimiter(line []byte) byte {
	best, most := byte(','), 0
	if bytes.IndexByte(line, ',') >= 0 {
		return best
	}
	for _, c := range []byte(";\t|") {
		if n := bytes.Count(line, []byte{c}); n > most {
			best, most = c, n
		}
	}
	return best
}

func (f *File) converts() bool { return f.scan.delimiter != 0 }

// pending returns the size of the chunk being assembled.
func (f *File) pending() int {
	if f.converts() {
		return len(f.converted)
	}
	return f.scan.pos - f.scan.start
}

// recordBytes returns the framed record as it is sent, valid until the next call.
// A faulty record is not converted: its fields are not known.
func (f *File) recordBytes(r record) []byte {
	raw := f.scan.data[f.scan.pos:][:r.size]
	if f.converts() && r.fault == wellFormed {
		f.scratch = appendConverted(f.scratch[:0], raw, f.scan.delimiter)
		return f.scratch
	}
	return raw
}

// appendConverted appends a well-formed record with commas between its fields.
// It quotes a field that contains a comma.
func appendConverted(out, rec []byte, delimiter byte) []byte {
	end := len(withoutEOL(rec))
	for i := 0; i <= end; i++ {
		if i > 0 {
			out = append(out, ',')
		}
		start := i
		if i < end && rec[i] == '"' {
			i = closingQuote(rec, i+1) + 1
		} else if n := bytes.IndexByte(rec[i:end], delimiter); n >= 0 {
			i += n
		} else {
			i = end
		}
		field := rec[start:i]
		if bytes.IndexByte(field, ',') >= 0 && field[0] != '"' {
			out = append(append(append(out, '"'), field...), '"')
		} else {
			out = append(out, field...)
		}
	}
	return append(out, rec[end:]...)
}

// convertTyped converts column names that were typed with the delimiter of the
// file instead of commas.
func convertTyped(names string, delimiter byte) []byte {
	if delimiter == ',' || strings.Contains(names, ",") {
		return []byte(names)
	}
	return appendConverted(nil, []byte(names), delimiter)
}
