// Times, in all the ways that files of this series write them. The dialects
// are told apart by their punctuation, never by trying: 07/05 is July the
// fifth, whatever else it could be elsewhere.

package mta

// What can be wrong with a time, as the end of a sentence that has the value.
const (
	notStamp   = "want a time such as 07/05/2022 01:00:00 PM or 2022-07-05T13:00:00"
	notDate    = "want a date such as 7/5/2022 or 2022-07-05"
	notClock   = "want a time of day such as 13:00 or 01:00:00 PM"
	noSuchDay  = "a day that does not exist"
	noSuchTime = "a time of day that does not exist"
	dateOnly   = "which has no time of day"
	withZone   = "want New York wall-clock time without a zone"
	fractional = "want whole seconds"
	otherDay   = "which is not the day in transit_date"
	timeOfDay  = "want a day without a time, because the time is in another column"
)

const secondsADay = 24 * 60 * 60

// parseStamp reads a date and a time of day. The problem is "" if there is none.
func parseStamp(b []byte) (at int64, problem string) {
	days, n, problem := parseDate(b)
	if problem != "" {
		if problem == notDate {
			problem = notStamp
		}
		return 0, problem
	}
	if n == len(b) {
		return 0, dateOnly
	}
	if b[n] != ' ' && b[n] != 'T' {
		return 0, notStamp
	}
	seconds, problem := parseClock(b[n+1:])
	if problem == notClock {
		problem = notStamp
	}
	return days*secondsADay + seconds, problem
}

// parseDay reads a date that stands alone; pandas gives it a midnight.
func parseDay(b []byte) (at int64, problem string) {
	days, n, problem := parseDate(b)
	if problem == "" && n < len(b) {
		at, problem = parseStamp(b)
		switch {
		case problem == notStamp:
			problem = notDate
		case problem == "" && at != days*secondsADay:
			problem = timeOfDay
		}
		return at, problem
	}
	return days * secondsADay, problem
}

// parseTimeOn reads the time of a day that is known from another column: a
// time of day, or a whole stamp of that very day.
func parseTimeOn(day int64, b []byte) (at int64, problem string) {
	seconds, problem := parseClock(b)
	if problem != notClock {
		return day + seconds, problem
	}
	at, stampProblem := parseStamp(b)
	switch {
	case stampProblem == notStamp:
		return 0, notClock
	case stampProblem == "" && (at < day || at >= day+secondsADay):
		return 0, otherDay
	}
	return at, stampProblem
}

// parseDate reads the date at the start of b, n bytes long: M/D/YYYY, M/D/YY
// (20YY) or YYYY-MM-DD.
func parseDate(b []byte) (days int64, n int, problem string) {
	var year, month, day int
	first, n := digits(b, 4)
	switch {
	case n == 4 && at(b, n) == '-':
		year = first
		if month, n = twoDigits(b, n+1); at(b, n) != '-' {
			return 0, n, notDate
		}
		if day, n = twoDigits(b, n+1); n < 0 {
			return 0, n, notDate
		}
	case (n == 1 || n == 2) && at(b, n) == '/':
		month = first
		var more int
		day, more = digits(b[n+1:], 2)
		if n += 1 + more; more == 0 || at(b, n) != '/' {
			return 0, n, notDate
		}
		year, more = digits(b[n+1:], 5)
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

// parseClock reads a time of day to the end of b: H:MM, H:MM:SS, fractions of
// zeros, AM or PM.
func parseClock(b []byte) (seconds int64, problem string) {
	hour, n := digits(b, 2)
	if n == 0 || at(b, n) != ':' {
		return 0, notClock
	}
	minute, n := twoDigits(b, n+1)
	if n < 0 {
		return 0, notClock
	}
	second := 0
	if at(b, n) == ':' {
		if second, n = twoDigits(b, n+1); n < 0 {
			return 0, notClock
		}
		if at(b, n) == '.' {
			var zeros bool
			if n, zeros = fraction(b, n+1); !zeros {
				return 0, fractional
			}
		}
	}
	if hour, problem = halves(hour, b[n:]); problem != "" {
		return 0, problem
	}
	if hour > 23 || minute > 59 || second > 59 {
		return 0, noSuchTime
	}
	return int64(hour*3600 + minute*60 + second), ""
}

// halves applies what follows a time of day: nothing, AM or PM.
func halves(hour int, rest []byte) (int, string) {
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

// fraction goes past the digits at n and tells whether they are zeros, of
// which there must be one at least.
func fraction(b []byte, n int) (end int, zeros bool) {
	end = n
	zeros = true
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		zeros = zeros && b[end] == '0'
		end++
	}
	return end, zeros && end > n
}

// digits reads a number of at most that many digits; n is how many there are.
func digits(b []byte, most int) (v, n int) {
	for n < len(b) && n < most && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n
}

// twoDigits reads the two digits at n and returns where they end, -1 if they
// are not two digits.
func twoDigits(b []byte, n int) (v, end int) {
	if n+2 > len(b) || b[n]-'0' > 9 || b[n+1]-'0' > 9 {
		return 0, -1
	}
	return int(b[n]-'0')*10 + int(b[n+1]-'0'), n + 2
}

// at is the byte at n, or 0 where there is none.
func at(b []byte, n int) byte {
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

// daysSince1970 counts the days of the Gregorian calendar. Years begin in
// March here, so that the leap day is the last of its year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468)
}

// The time of a record that is not judged: to put rows in order before they
// are sent.

// When is the time of one whole record, as it stands in the file. It is not
// ok where the record can't be taken apart, or its time can't be read; a
// record that is ok may yet be a reject for something else.
func (c *Columns) When(rec []byte) (at int64, ok bool) {
	var f framer
	f.set(rec, 0, true)
	r, ok := f.next()
	if !ok || r.fault != sound || r.blank || r.size != len(rec) {
		return 0, false
	}
	rec = content(rec)
	fields := fields{rec, split(rec, nil)}
	if len(fields.ends) != c.count || !isText(rec) {
		return 0, false
	}
	at, _, problem := when(fields, c)
	return at, problem == ""
}
