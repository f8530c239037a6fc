package main

// How many ride: the expected riders of every hour, station and fare class.
// All of it is integer arithmetic. Floating point may differ in the last bit
// from one processor to another, and then a seed would not mean the same file
// everywhere.

// A fare is a payment method and fare class, and its share of the riders in
// 100,000ths: until August 2024, and since.
type fare struct {
	payment, class string
	share          [2]int64
}

// fares are in the order of the API. Students moved from MetroCard to OMNY in
// September 2024.
var fares = [...]fare{
	{"metrocard", "Metrocard - Fair Fare", [2]int64{2910, 1500}},
	{"metrocard", "Metrocard - Full Fare", [2]int64{17384, 7000}},
	{"metrocard", "Metrocard - Other", [2]int64{4025, 3000}},
	{"metrocard", "Metrocard - Seniors & Disability", [2]int64{2406, 1500}},
	{"metrocard", "Metrocard - Students", [2]int64{2433, 0}},
	{"metrocard", "Metrocard - Unlimited 30-Day", [2]int64{10003, 3500}},
	{"metrocard", "Metrocard - Unlimited 7-Day", [2]int64{10337, 3500}},
	{"omny", "OMNY - Fair Fare", [2]int64{0, 1500}},
	{"omny", "OMNY - Full Fare", [2]int64{50366, 68000}},
	{"omny", "OMNY - Other", [2]int64{12, 1000}},
	{"omny", "OMNY - Seniors & Disability", [2]int64{124, 4000}},
	{"omny", "OMNY - Students", [2]int64{0, 5500}},
}

// Riders of each hour in thousandths of the day's: in the centre, elsewhere,
// and anywhere on a weekend.
var (
	centre  = [24]int64{11, 4, 2, 1, 3, 16, 40, 70, 92, 65, 41, 36, 36, 40, 46, 57, 69, 93, 74, 49, 40, 48, 44, 24}
	outside = [24]int64{4, 2, 2, 2, 10, 37, 73, 118, 108, 70, 52, 42, 43, 49, 59, 68, 62, 61, 45, 30, 22, 17, 14, 9}
	weekend = [24]int64{26, 12, 6, 3, 3, 5, 12, 18, 27, 38, 46, 51, 56, 60, 63, 72, 85, 81, 74, 63, 54, 54, 56, 36}
)

// usual is a usual weekday's riders, in percent of those of that Friday.
const usual = 70

// weekendShare is how many ride on a day of a weekend, in percent of a weekday.
const weekendShare = 60

// one is 1 rider in the fixed-point numbers of a table.
const one = 1 << 16

// A table has the expected riders for [era][weekend][hour][station][fare].
type table [2][2][24][][12]uint32

func newTable() *table {
	t := new(table)
	for era := range 2 {
		for end := range 2 {
			for hour := range 24 {
				t[era][end][hour] = expected(era, end == 1, hour)
			}
		}
	}
	return t
}

func expected(era int, isWeekend bool, hour int) [][12]uint32 {
	all := make([][12]uint32, len(stations))
	for s, st := range stations {
		profile := outside
		if st.borough == "Manhattan" {
			profile = centre
		}
		known := int64(0) // thousandths of a weekday's riders that ride in the evening
		for _, share := range profile[18:] {
			known += share
		}
		riders := st.evening * usual / 100 * one * profile[hour] / known
		if isWeekend {
			riders = st.evening * usual / 100 * one * weekend[hour] / known * weekendShare / 100
		}
		for f, fare := range fares {
			all[s][f] = uint32(riders * fare.share[era] / 100_000)
		}
	}
	return all
}

// spread is how the riders of an hour vary about what is expected, in 1024ths:
// 64 quantiles of a log-normal distribution with mean 1, the last a little
// beyond, for the days when everyone comes.
var spread = [64]uint64{
	270, 335, 375, 406, 433, 456, 478, 499, 518, 536, 554, 571, 588, 605, 621, 637,
	653, 669, 684, 700, 716, 731, 747, 763, 779, 795, 811, 827, 844, 860, 878, 895,
	913, 931, 949, 968, 987, 1007, 1028, 1049, 1071, 1093, 1117, 1141, 1167, 1193, 1221, 1251,
	1282, 1315, 1350, 1388, 1429, 1474, 1522, 1577, 1638, 1708, 1789, 1888, 2012, 2180, 2441, 3935,
}
