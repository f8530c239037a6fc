package main

// A file, written row by row. Whatever repeats is made into text before.

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// An order is what to generate.
type order struct {
	rows    int
	seed    uint64
	flaws   int // how many of the rows are spoiled
	dialect *dialect
	list    io.Writer // told which
}

// maxRows keeps the last row before the year 2100: Excel's dates have two
// digits for the year.
const maxRows = 100_000_000

// span is how many days a file covers: the rest of 2022, as the original
// demo's file did, or as many as its rows need. A day has more than
// 12,000 rows.
func span(rows int) int { return 334 + rows/10_000 }

const bufferSize = 256 << 10

// A file is one file being written.
type file struct {
	order
	w      io.Writer
	buf    []byte
	days   []day
	dates  []string                          // of each day
	hours  [24]string                        // of each hour
	middle [len(stations)][len(fares)]string // of each station and fare
	tails  [len(stations)][len(fares)]string // the same; a complex's places share its fares
	table  *table
	base   uint64 // the seed, mixed
}

func newFile(o order, w io.Writer) *file {
	f := &file{
		order: o, w: w, buf: make([]byte, 0, bufferSize+4096),
		days: days(span(o.rows)), table: newTable(), base: mix(o.seed),
	}
	d := o.dialect
	for _, day := range f.days {
		f.dates = append(f.dates, d.date(day))
	}
	for h := range f.hours {
		f.hours[h] = d.hour(h)
	}
	for s, st := range stations {
		for i, fare := range fares {
			f.middle[s][i] = d.middle(st, fare)
			f.tails[s][i] = d.tail(st.places[i%len(st.places)])
		}
	}
	return f
}

// write writes the whole file.
func (f *file) write(ctx context.Context) error {
	f.buf = append(f.buf, f.dialect.head()...)
	if err := f.writeRows(ctx); err != nil {
		return err
	}
	for range f.dialect.blanks {
		f.buf = append(f.buf, f.dialect.eol...)
		f.buf = append(f.buf, strings.Repeat(",", f.dialect.columns-1)...)
	}
	if !f.dialect.open {
		f.buf = append(f.buf, f.dialect.eol...)
	}
	return f.flush(ctx)
}

func (f *file) writeRows(ctx context.Context) error {
	keys := keysOf(len(f.days))
	shuffle := newShuffle(keys, f.base)
	flawed := 0
	for i, n := uint64(0), 0; n < f.rows; i++ {
		if i == keys {
			return fmt.Errorf("%d days have only %d of %d rows", len(f.days), n, f.rows)
		}
		key := i
		if !f.dialect.sorted {
			key = shuffle.at(i)
		}
		at := slotOf(key)
		day := &f.days[at.day]
		if day.spring && at.hour == 2 {
			continue
		}
		random := mix(f.base ^ key)
		riders, transfers := draw(f.table[day.era][day.end][at.hour][at.station][at.fare], random)
		if riders == 0 {
			continue
		}
		f.buf = append(f.buf, f.dialect.eol...)
		if flawed < f.flaws && n == f.flawAt(flawed) {
			what := f.spoil(at, riders, transfers, flawed)
			if _, err := fmt.Fprintf(f.list, "line %d: %s\n", n+2, what); err != nil {
				return err
			}
			flawed++
		} else {
			f.row(at, riders, transfers)
		}
		n++
		if len(f.buf) >= bufferSize {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// row appends a row without its end.
func (f *file) row(at slot, riders, transfers uint64) {
	d, commas := f.dialect, f.dialect.commas(f.days[at.day])
	if d.quote {
		f.buf = append(f.buf, '"')
	}
	f.buf = append(f.buf, f.dates[at.day]...)
	f.buf = append(f.buf, f.hours[at.hour]...)
	if d.quote {
		f.buf = append(f.buf, '"')
	}
	f.buf = append(f.buf, f.middle[at.station][at.fare]...)
	f.buf = d.count(f.buf, riders, commas)
	f.buf = append(f.buf, ',')
	f.buf = d.count(f.buf, transfers, commas)
	f.buf = append(f.buf, f.tails[at.station][at.fare]...)
}

func (f *file) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := f.w.Write(f.buf)
	f.buf = f.buf[:0]
	return err
}
