package main

// Flaws: the many ways in which a row can be none.

import "strings"

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
