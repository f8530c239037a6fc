// Times, in every form that files of this data set have. Forms are told apart by
// their punctuation, never by trying one after the other: 07/05 is always July 5.

package mta

import "bytes"

// What can be wrong with a time, as the end of a sentence that has the value.
const (
	notTimestamp = "want a time such as 07/05/2022 01:00:00 PM or 2022-07-05T13:00:00"
	notDate      = "want a date such as 7/5/2022 or 2022-07-05"
	notClock     = "want a time of day such as 13:00 or 01:00:00 PM"
	noSuchDay    = "a day that does not exist"
	noSuchTime   = "a time of day that does not exist"
	dateOnly     = "which has no time of day"
	withZone     = "want New York wall-clock time without a zone"
	fractional   = "want whole seconds"
	otherDay     = "which is not the day in transit_date"
	timeOfDay    = "want a day without a time, because the time is in another column"
)

const secondsADay = 24 * 60 * 60

// parseTimestamp reads a date and a time of day, in seconds since 1970. The
// problem is "" if it is a timestamp.
func parseTimestamp(b []byte) (at int64, problem string) {
	days, n, problem := parseDate(b)
	if problem != "" {
		if problem == notDate {
			problem = notTimestamp
		}
		return 0, problem
	}
	if n == len(b) {
		return 0, dateOnly
	}
	if b[n] != ' ' && b[n] != 'T' {
		return 0, notTimestamp
	}
	seconds, problem := parseClock(b[n+1:])
	if problem == notClock {
		problem = notTimestamp
	}
	return days*secondsADay + seconds, problem
}

// parseDay reads a date that stands alone. pandas writes a midnight after it.
func parseDay(b []byte) (at int64, problem string) {
	days, n, problem := parseDate(b)
	if problem == "" && n < len(b) {
		at, problem = parseTimestamp(b)
		switch {
		case problem == notTimestamp:
			problem = notDate
		case problem == "" && at != days*secondsADay:
			problem = timeOfDay
		}
		return at, problem
	}
	return days * secondsADay, problem
}

// parseTimeOn reads the time of a day that another column gave: a time of day,
// or a whole timestamp of that same day.
func parseTimeOn(day int64, b []byte) (at int64, problem string) {
	seconds, problem := parseClock(b)
	if problem != notClock {
		return day + seconds, problem
	}
	at, timestampProblem := parseTimestamp(b)
	switch {
	case timestampProblem == notTimestamp:
		return 0, notClock
	case timestampProblem == "" && (at < day || at >= day+secondsADay):
		return 0, otherDay
	}
	return at, timestampProblem
}

// parseDate reads the date at the start of b: M/D/YYYY, M/D/YY (20YY) or
// YYYY-MM-DD. n is its length.
func parseDate(b []byte) (days int64, n int, problem string) {
	var year, month, day int
	first, n := readDigits(b, 4)
	switch {
	case n == 4 && byteAt(b, n) == '-':
		year = first
		if month, n = readTwoDigits(b, n+1); byteAt(b, n) != '-' {
			return 0, n, notDate
		}
		if day, n = readTwoDigits(b, n+1); n < 0 {
			return 0, n, notDate
		}
	case (n == 1 || n == 2) && byteAt(b, n) == '/':
		month = first
		var more int
		day, more = readDigits(b[n+1:], 2)
		if n += 1 + more; more == 0 || byteAt(b, n) != '/' {
			return 0, n, notDate
		}
		year, more = readDigits(b[n+1:], 5)
		switch n += 1 + more; more {
		case 2:
			year += 2000
		case 4:
		default:
			return 0, n, notDate
		}
	default:
		return 0, n, notDate
	}
	if year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, n, noSuchDay
	}
	return daysSince1970(year, month, day), n, ""
}

// parseClock reads a time of day to the end of b: H:MM or H:MM:SS, with zeros
// as fraction, with AM or PM.
func parseClock(b []byte) (seconds int64, problem string) {
	hour, n := readDigits(b, 2)
	if n == 0 || byteAt(b, n) != ':' {
		return 0, notClock
	}
	minute, n := readTwoDigits(b, n+1)
	if n < 0 {
		return 0, notClock
	}
	second := 0
	if byteAt(b, n) == ':' {
		if second, n = readTwoDigits(b, n+1); n < 0 {
			return 0, notClock
		}
		if byteAt(b, n) == '.' {
			var zeros bool
			if n, zeros = skipFraction(b, n+1); !zeros {
				return 0, fractional
			}
		}
	}
	if hour, problem = applyAMPM(hour, b[n:]); problem != "" {
		return 0, problem
	}
	if hour > 23 || minute > 59 || second > 59 {
		return 0, noSuchTime
	}
	return int64(hour*3600 + minute*60 + second), ""
}

// applyAMPM converts the hour by what follows a time of day: nothing, AM or PM.
func applyAMPM(hour int, rest []byte) (int, string) {
	if len(rest) == 0 {
		return hour, ""
	}
	if rest[0] == ' ' {
		rest = rest[1:]
	}
	if len(rest) == 2 && rest[1]|0x20 == 'm' && (rest[0]|0x20 == 'a' || rest[0]|0x20 == 'p') {
		if hour < 1 || hour > 12 {
			return 0, noSuchTime
		}
		hour %= 12
		if rest[0]|0x20 == 'p' {
			hour += 12
		}
		return hour, ""
	}
	if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-' || 'A' <= rest[0]&^0x20 && rest[0]&^0x20 <= 'Z') {
		return 0, withZone
	}
	return 0, notClock
}

// skipFraction returns the end of the digits at n, and whether they are one or
// more zeros.
func skipFraction(b []byte, n int) (end int, zeros bool) {
	end = n
	zeros = true
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		zeros = zeros && b[end] == '0'
		end++
	}
	return end, zeros && end > n
}

// readDigits reads a number of at most limit digits. n is how many there are.
func readDigits(b []byte, limit int) (v, n int) {
	for n < len(b) && n < limit && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n
}

// readTwoDigits reads the two digits at n and returns where they end, or -1 if
// there are not two digits.
func readTwoDigits(b []byte, n int) (v, end int) {
	if n+2 > len(b) || b[n]-'0' > 9 || b[n+1]-'0' > 9 {
		return 0, -1
	}
	return int(b[n]-'0')*10 + int(b[n+1]-'0'), n + 2
}

// byteAt returns the byte at n, or 0 if there is none.
func byteAt(b []byte, n int) byte {
	if n < 0 || n >= len(b) {
		return 0
	}
	return b[n]
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts the days of the Gregorian calendar. It begins years in
// March, so that the leap day is the last day of its year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468)
}

// readTime reads the time of a ride.
func readTime(f fields, c *Columns) (at int64, column, reason string) {
	clock := f.unquoted(c.at[c.clock])
	if c.day < 0 {
		at, problem := parseTimestamp(clock)
		if problem != "" {
			column, reason = valueReason(f, c, c.clock, problem)
		}
		return at, column, reason
	}
	day, problem := parseDay(f.unquoted(c.at[c.day]))
	if problem != "" {
		column, reason = valueReason(f, c, c.day, problem)
		return 0, column, reason
	}
	if at, problem = parseTimeOn(day, clock); problem != "" {
		column, reason = valueReason(f, c, c.clock, problem)
	}
	return at, column, reason
}

// A lastTime remembers the time of the previous row. Files are in order of
// time: most rows repeat it, and comparing is faster than parsing.
type lastTime struct {
	text []byte
	at   int64
}

// read is readTime with that memory.
func (t *lastTime) read(f fields, c *Columns) (at int64, column, reason string) {
	if c.day >= 0 {
		return readTime(f, c)
	}
	text := f.unquoted(c.at[c.clock])
	if len(text) > 0 && bytes.Equal(text, t.text) {
		return t.at, "", ""
	}
	if at, column, reason = readTime(f, c); reason == "" {
		t.text, t.at = append(t.text[:0], text...), at
	}
	return at, column, reason
}

// When returns the time of one whole record, to put rows in order before they
// are sent. ok is false if the record can't be split or its time can't be read.
// A record that is ok may still be a reject for another reason.
func (c *Columns) When(rec []byte) (at int64, ok bool) {
	var f framer
	f.reset(rec, 0, true)
	r, ok := f.next()
	if !ok || r.fault != wellFormed || r.blank || r.size != len(rec) {
		return 0, false
	}
	rec = withoutEOL(rec)
	fields := fields{rec, split(rec, nil)}
	if len(fields.ends) != c.count || !isText(rec) {
		return 0, false
	}
	at, _, problem := readTime(fields, c)
	return at, problem == ""
}
