package main

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
)

// A file, written row by row. Whatever repeats is made into text before.

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

// Which rows there are. Every (hour, station, fare) has one number, its key,
// and what is generated for a key depends on the seed and the key alone. So no
// key comes twice, and an unsorted file of any size needs no memory.

// A day is what the rows of one day share.
type day struct {
	year, month, day int
	era, end         int  // indexes of a table
	spring           bool // 02:00 does not exist: the clocks go forward
}

// days are the days from the data set's first, 1 February 2022.
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

// A slot is one key, taken apart.
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

// draw says how many ride where so many are expected, and how many of them
// transfer: nobody, most often. No rider, no row.
func draw(expected uint32, random uint64) (riders, transfers uint64) {
	riders = (uint64(expected)*spread[random&63]>>10 + random>>6%one) / one
	share := random >> 22 % 64
	share = share * share / 40 // up to 9.9 %, mostly much less
	transfers = (riders*share + random>>28%1000) / 1000
	return riders, transfers
}

// A shuffle is a permutation of the numbers below n: a Feistel network over
// the next power of four, walked until it leads below n.
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

// Flaws: the many ways in which a row can be none.

// A broken row is its fields as they stand in the file, quotes included.
type broken struct {
	*dialect
	day  day
	hour string
	when string   // the time, in one column or two
	f    []string // the columns after it
}

// The columns after the time.
const (
	mode = iota
	complexID
	complexName
	borough
	payment
	class
	ridership
	transfers
	latitude
	longitude
	georeference
)

// flaws are taken in this order, again and again. None of them may harm the
// rows beside it: where a quote is left open, the next quote in the file is one
// that opens a field, and what follows it there is text.
var flaws = []struct {
	what  string
	spoil func(b *broken)
}{
	{"a date that does not exist", func(b *broken) {
		b.when = b.dialect.when(b.date(day{year: b.day.year, month: 2, day: 30}), b.hour)
	}},
	{"negative ridership", func(b *broken) { b.f[ridership] = b.text("-3") }},
	{"text for ridership", func(b *broken) { b.f[ridership] = b.text("many") }},
	{"a field is missing", func(b *broken) { b.f = b.f[:georeference] }},
	{"a quote that is never closed", func(b *broken) {
		b.f[georeference] = `"` + strings.Trim(b.f[georeference], `"`)
	}},
	{"a field too many", func(b *broken) { b.f = append(b.f, b.text("more")) }},
	{"a quote inside a field", func(b *broken) { b.f[borough] = b.f[borough][:3] + `"` + b.f[borough][3:] }},
	{"text after a closing quote", func(b *broken) {
		b.f[borough] = `"` + strings.Trim(b.f[borough], `"`) + `"x`
	}},
	{"not UTF-8", func(b *broken) { b.f[complexName] = b.text("Caf\xe9 Av (A,B)") }},
	{"a NUL byte", func(b *broken) { b.f[class] = b.text("Metro\x00card") }},
	{"no station id", func(b *broken) { b.f[complexID] = b.text("") }},
	{"no time", func(b *broken) {
		b.when = b.text("") + strings.Repeat(",", strings.Count(b.header, ","))
	}},
	{"text for a date", func(b *broken) { b.when = b.dialect.when("yesterday", b.hour) }},
	{"a minute that does not exist", func(b *broken) { b.when = strings.Replace(b.when, ":00", ":61", 1) }},
	{"a time with a zone", func(b *broken) { b.when = b.dialect.when(b.date(b.day), b.hour+" EST") }},
	{"no ridership", func(b *broken) { b.f[ridership] = b.text("") }},
	{"half a rider", func(b *broken) { b.f[ridership] = b.text("4.5") }},
	{"more riders than 64 bits hold", func(b *broken) { b.f[ridership] = b.text("99999999999999999999") }},
	{"negative transfers", func(b *broken) { b.f[transfers] = b.text("-1") }},
	{"a latitude beyond the pole", func(b *broken) { b.f[latitude] = b.text("140.75") }},
	{"text for longitude", func(b *broken) { b.f[longitude] = b.text("west") }},
}

// flawAt is the row that flaw i spoils: one of its own part of the file.
func (f *file) flawAt(i int) int {
	from, to := i*f.rows/f.flaws, (i+1)*f.rows/f.flaws
	return from + int(mix(f.base+uint64(i))%uint64(to-from))
}

// spoil appends a flawed row, and says what is wrong with it.
func (f *file) spoil(at slot, riders, transferring uint64, i int) string {
	d, st, fare := f.dialect, stations[at.station], fares[at.fare]
	b := &broken{dialect: d, day: f.days[at.day], hour: f.hours[at.hour]}
	b.when = d.when(f.dates[at.day], b.hour)
	for _, s := range []string{st.mode, st.id, st.name, st.borough, fare.payment, fare.class} {
		b.f = append(b.f, d.text(s))
	}
	commas := d.commas(b.day)
	b.f = append(b.f, string(d.count(nil, riders, commas)), string(d.count(nil, transferring, commas)))
	place := strings.TrimPrefix(f.tails[at.station][at.fare], ",")
	b.f = append(b.f, strings.SplitN(place, ",", 3)...)
	flaw := flaws[i%len(flaws)]
	flaw.spoil(b)
	f.buf = append(f.buf, b.when...)
	f.buf = append(f.buf, ',')
	f.buf = append(f.buf, strings.Join(b.f, ",")...)
	return flaw.what
}
