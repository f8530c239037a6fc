package main

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
)

// A file is written row by row. Texts that repeat are formatted once, before.

// An order is what to generate.
type order struct {
	rows    int
	seed    uint64
	flaws   int // how many of the rows are flawed
	dialect *dialect
	list    io.Writer // gets a line for each flawed row
}

// maxRows keeps every row before the year 2100, because the excel dialect has
// two digits for the year.
const maxRows = 100_000_000

// span returns how many days a file covers: the rest of 2022, or as many as its
// rows need. A day has more than 12,000 rows.
func span(rows int) int { return 334 + rows/10_000 }

const bufferSize = 256 << 10

// A file is one file while it is written.
type file struct {
	order
	w      io.Writer
	buf    []byte
	days   []day
	dates  []string                          // of each day
	hours  [24]string                        // of each hour
	middle [len(stations)][len(fares)]string // of each station and fare
	tails  [len(stations)][len(fares)]string // the same; each fare has one of the complex's places
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
			what := f.appendFlawed(at, riders, transfers, flawed)
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

// row appends a row without its line ending.
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

// Every (hour, station, fare) has one number, its key. The row of a key depends
// on the seed and the key alone: no key occurs twice, and an unsorted file of any
// size needs no memory.

// A day is a date and what all of its rows share.
type day struct {
	year, month, day int
	era, end         int  // indexes of a table: 1 since September 2024, 1 on a weekend
	spring           bool // 02:00 does not exist: the clocks go forward
}

// days returns n days from the first of the data set, 1 February 2022.
func days(n int) []day {
	all := make([]day, n)
	for i := range all {
		t := time.Date(2022, time.February, 1+i, 0, 0, 0, 0, time.UTC)
		d := day{year: t.Year(), month: int(t.Month()), day: t.Day()}
		if wd := t.Weekday(); wd == time.Saturday || wd == time.Sunday {
			d.end = 1
		}
		if d.year > 2024 || d.year == 2024 && d.month >= 9 {
			d.era = 1
		}
		d.spring = t.Month() == time.March && t.Weekday() == time.Sunday && d.day >= 8 && d.day <= 14
		all[i] = d
	}
	return all
}

// A slot is a key as its components.
type slot struct{ day, hour, station, fare int }

func slotOf(key uint64) slot {
	stationHours, f := key/uint64(len(fares)), key%uint64(len(fares))
	hours, s := stationHours/uint64(len(stations)), stationHours%uint64(len(stations))
	return slot{int(hours / 24), int(hours % 24), int(s), int(f)}
}

func keysOf(days int) uint64 { return uint64(days) * 24 * uint64(len(stations)) * uint64(len(fares)) }

// mix is the finaliser of SplitMix64: every bit of the result depends on every
// bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw returns the riders of a slot, and how many of them transfer: usually
// none. A slot without riders has no row.
func draw(expected uint32, random uint64) (riders, transfers uint64) {
	riders = (uint64(expected)*spread[random&63]>>10 + random>>6%one) / one
	share := random >> 22 % 64
	share = share * share / 40 // up to 9.9 %, mostly much less
	transfers = (riders*share + random>>28%1000) / 1000
	return riders, transfers
}

// A shuffle is a permutation of the numbers below n: a Feistel network over the
// next power of four, applied until its result is below n.
type shuffle struct {
	n, seed uint64
	half    int
}

func newShuffle(n, seed uint64) shuffle {
	return shuffle{n, seed, (bits.Len64(n) + 1) / 2}
}

func (s shuffle) at(i uint64) uint64 {
	mask := uint64(1)<<s.half - 1
	for {
		left, right := i>>s.half, i&mask
		for round := range uint64(4) {
			left, right = right, left^mix(s.seed+right<<3+round)&mask
		}
		if i = left<<s.half | right; i < s.n {
			return i
		}
	}
}

// A flawedRow is a row as fields, with their quotes.
type flawedRow struct {
	*dialect
	day  day
	hour string
	when string   // the time, in one column or two
	f    []string // the columns after it
}

// The columns after the time that flaws change.
const (
	ridership    = 6
	georeference = 10
)

// flaws are the kinds of rejects in the sample, used in turn. None may change how
// the rows beside it are read. After the quote that is not closed, the next
// quote in the file opens a field, so the framer finds text after a closing
// quote and reduces the flawed record to its line.
var flaws = []struct {
	name  string
	apply func(b *flawedRow)
}{
	{"a date that does not exist", func(b *flawedRow) {
		b.when = b.dialect.when(b.date(day{year: b.day.year, month: 2, day: 30}), b.hour)
	}},
	{"negative ridership", func(b *flawedRow) { b.f[ridership] = b.text("-3") }},
	{"text for ridership", func(b *flawedRow) { b.f[ridership] = b.text("many") }},
	{"a field is missing", func(b *flawedRow) { b.f = b.f[:georeference] }},
	{"a quote that is never closed", func(b *flawedRow) {
		b.f[georeference] = `"` + strings.Trim(b.f[georeference], `"`)
	}},
}

// flawAt returns the row that gets flaw i: one of the i-th part of the file.
func (f *file) flawAt(i int) int {
	from, to := i*f.rows/f.flaws, (i+1)*f.rows/f.flaws
	return from + int(mix(f.base+uint64(i))%uint64(to-from))
}

// appendFlawed appends a row with flaw i, and returns what is wrong with it.
func (f *file) appendFlawed(at slot, riders, transferring uint64, i int) string {
	d, st, fare := f.dialect, stations[at.station], fares[at.fare]
	b := &flawedRow{dialect: d, day: f.days[at.day], hour: f.hours[at.hour]}
	b.when = d.when(f.dates[at.day], b.hour)
	for _, s := range []string{st.mode, st.id, st.name, st.borough, fare.payment, fare.class} {
		b.f = append(b.f, d.text(s))
	}
	commas := d.commas(b.day)
	b.f = append(b.f, string(d.count(nil, riders, commas)), string(d.count(nil, transferring, commas)))
	place := strings.TrimPrefix(f.tails[at.station][at.fare], ",")
	b.f = append(b.f, strings.SplitN(place, ",", 3)...)
	flaw := flaws[i%len(flaws)]
	flaw.apply(b)
	f.buf = append(f.buf, b.when...)
	f.buf = append(f.buf, ',')
	f.buf = append(f.buf, strings.Join(b.f, ",")...)
	return flaw.name
}
