package mta

// What one row has, the next one has too, mostly: files are in order of time,
// and of stations within an hour. Comparing is faster than looking up.

import "bytes"

// A memo remembers the last key that was looked up in a space, and its number.
type memo struct {
	of  *space
	key []byte // the spans, a NUL after each
	n   uint32
}

// is tells whether these fields are what is remembered.
func (m *memo) is(s *space, f fields, runs []run) bool {
	if m.of != s {
		return false
	}
	rest := m.key
	for _, run := range runs {
		span := f.span(run.first, run.last)
		if len(rest) <= len(span) || rest[len(span)] != 0 || !bytes.Equal(rest[:len(span)], span) {
			return false
		}
		rest = rest[len(span)+1:]
	}
	return len(rest) == 0
}

func (m *memo) set(s *space, f fields, runs []run, n uint32) {
	m.of, m.key, m.n = s, m.key[:0], n
	for _, run := range runs {
		m.key = append(append(m.key, f.span(run.first, run.last)...), 0)
	}
}

// A clock remembers the last time that was read from one column.
type clock struct {
	text []byte
	at   int64
}

// when is the other when, which is not asked twice in a row for the same.
func (c *clock) when(f fields, columns *Columns) (at int64, column, reason string) {
	if columns.day >= 0 {
		return when(f, columns)
	}
	text := f.bare(columns.at[columns.clock])
	if len(text) > 0 && bytes.Equal(text, c.text) {
		return c.at, "", ""
	}
	if at, column, reason = when(f, columns); reason == "" {
		c.text, c.at = append(c.text[:0], text...), at
	}
	return at, column, reason
}
