package main

// Which rows there are. Every (hour, station, fare) has one number, its key,
// and what is generated for a key depends on the seed and the key alone. So no
// key comes twice, and an unsorted file of any size needs no memory.

import (
	"math/bits"
	"time"
)

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
