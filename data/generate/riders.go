package main

// A table has the expected riders of every hour, station and fare class. It uses
// integer arithmetic only: floating point may differ in the last bit between
// processors, and a seed must make the same file everywhere.

// A fare is a payment method and fare class with its share of the riders in
// 100,000ths: until August 2024, and later.
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

// Riders of each hour in thousandths of the day: in Manhattan, elsewhere, and
// everywhere on a weekend.
var (
	centre  = [24]int64{11, 4, 2, 1, 3, 16, 40, 70, 92, 65, 41, 36, 36, 40, 46, 57, 69, 93, 74, 49, 40, 48, 44, 24}
	outside = [24]int64{4, 2, 2, 2, 10, 37, 73, 118, 108, 70, 52, 42, 43, 49, 59, 68, 62, 61, 45, 30, 22, 17, 14, 9}
	weekend = [24]int64{26, 12, 6, 3, 3, 5, 12, 18, 27, 38, 46, 51, 56, 60, 63, 72, 85, 81, 74, 63, 54, 54, 56, 36}
)

// usual is the riders of a usual weekday, in percent of 31 March 2023, a Friday.
const usual = 70

// weekendShare is the riders of a day of a weekend, in percent of a weekday.
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

// spread has factors by which an hour's riders differ from the expected, in
// 1024ths: 64 quantiles of a log-normal distribution with mean 1. The last is
// larger, for days with a big event.
var spread = [64]uint64{
	270, 335, 375, 406, 433, 456, 478, 499, 518, 536, 554, 571, 588, 605, 621, 637,
	653, 669, 684, 700, 716, 731, 747, 763, 779, 795, 811, 827, 844, 860, 878, 895,
	913, 931, 949, 968, 987, 1007, 1028, 1049, 1071, 1093, 1117, 1141, 1167, 1193, 1221, 1251,
	1282, 1315, 1350, 1388, 1429, 1474, 1522, 1577, 1638, 1708, 1789, 1888, 2012, 2180, 2441, 3935,
}

const (
	subway  = "subway"
	tram    = "tram"
	railway = "staten_island_railway"
)

// A station is one station complex.
type station struct {
	id, name, borough, mode string
	evening                 int64    // riders from 18:00 to 24:00 on 31 March 2023
	places                  []string // "latitude longitude"; a complex has one for each of its stations
}

// stations are 72 of the 428 complexes, over the whole range of busy and quiet,
// boroughs and modes. The facts are public, from the MTA's data of 31 March 2023.
// They are sorted by id as text, the order of the API.
var stations = [...]station{
	{"10", "49 St (N,R,W)", "Manhattan", subway, 5915, []string{"40.7599 -73.98414"}},
	{"103", "Bowery (J,Z)", "Manhattan", subway, 1114, []string{"40.72028 -73.99391"}},
	{"118", "3 Av (L)", "Manhattan", subway, 2188, []string{"40.73285 -73.98612"}},
	{"123", "Grand St (L)", "Brooklyn", subway, 1227, []string{"40.711926 -73.94067"}},
	{"125", "Morgan Av (L)", "Brooklyn", subway, 1968, []string{"40.706154 -73.93314"}},
	{"134", "Sutter Av (L)", "Brooklyn", subway, 257, []string{"40.66937 -73.90198"}},
	{"165", "23 St (C,E)", "Manhattan", subway, 3829, []string{"40.745907 -73.99804"}},
	{"183", "Rockaway Av (C)", "Brooklyn", subway, 455, []string{"40.67834 -73.91195"}},
	{"195", "Ozone Park-Lefferts Blvd (A)", "Queens", subway, 443, []string{"40.68595 -73.8258"}},
	{"200", "Beach 90 St (A,S)", "Queens", subway, 41, []string{"40.588036 -73.813644"}},
	{"214", "182-183 Sts (B,D)", "Bronx", subway, 361, []string{"40.856094 -73.90074"}},
	{"217", "170 St (B,D)", "Bronx", subway, 385, []string{"40.839306 -73.9134"}},
	{"22", "Rector St (R,W)", "Manhattan", subway, 883, []string{"40.70722 -74.01334"}},
	{"223", "Lexington Av/63 St (F,Q)", "Manhattan", subway, 4376, []string{"40.76463 -73.96611"}},
	{"225", "47-50 Sts-Rockefeller Ctr (B,D,F,M)", "Manhattan", subway, 9900, []string{"40.758663 -73.98133"}},
	{"242", "Fort Hamilton Pkwy (F,G)", "Brooklyn", subway, 644, []string{"40.650784 -73.97578"}},
	{"243", "Church Av (F,G)", "Brooklyn", subway, 840, []string{"40.64404 -73.979675"}},
	{"249", "Avenue P (F)", "Brooklyn", subway, 230, []string{"40.608944 -73.97302"}},
	{"250", "Kings Hwy (F)", "Brooklyn", subway, 268, []string{"40.603218 -73.97236"}},
	{"252", "Avenue X (F)", "Brooklyn", subway, 208, []string{"40.58962 -73.97425"}},
	{"253", "Neptune Av (F)", "Brooklyn", subway, 122, []string{"40.581013 -73.97457"}},
	{"258", "Briarwood (E,F)", "Queens", subway, 347, []string{"40.70918 -73.82057"}},
	{"259", "Kew Gardens-Union Tpke (E,F)", "Queens", subway, 1784, []string{"40.71444 -73.83101"}},
	{"263", "63 Dr-Rego Park (M,R)", "Queens", subway, 1375, []string{"40.729847 -73.8616"}},
	{"273", "Queens Plaza (E,M,R)", "Queens", subway, 1867, []string{"40.748974 -73.93724"}},
	{"277", "7 Av (E,B,D)", "Manhattan", subway, 3352, []string{"40.762863 -73.981636"}},
	{"287", "Flushing Av (G)", "Brooklyn", subway, 574, []string{"40.70038 -73.95023"}},
	{"288", "Myrtle-Willoughby Avs (G)", "Brooklyn", subway, 787, []string{"40.69457 -73.94904"}},
	{"294", "238 St (1)", "Bronx", subway, 403, []string{"40.884666 -73.90087"}},
	{"301", "181 St (1)", "Manhattan", subway, 1468, []string{"40.849506 -73.93359"}},
	{"308", "Cathedral Pkwy (110 St) (1)", "Manhattan", subway, 2630, []string{"40.803967 -73.96685"}},
	{"323", "Christopher St-Sheridan Sq (1)", "Manhattan", subway, 3622, []string{"40.73342 -74.00291"}},
	{"324", "Houston St (1)", "Manhattan", subway, 2501, []string{"40.728252 -74.00536"}},
	{"327", "Chambers St (1,2,3)", "Manhattan", subway, 2972, []string{"40.715477 -74.00927"}},
	{"337", "Nevins St (2,3,4,5)", "Brooklyn", subway, 1726, []string{"40.688248 -73.98049"}},
	{"350", "Pennsylvania Av (3)", "Brooklyn", subway, 329, []string{"40.664635 -73.8949"}},
	{"352", "New Lots Av (3)", "Brooklyn", subway, 502, []string{"40.666237 -73.88408"}},
	{"358", "Newkirk Av-Little Haiti (2,5)", "Brooklyn", subway, 478, []string{"40.63997 -73.94841"}},
	{"362", "Middletown Rd (6)", "Bronx", subway, 104, []string{"40.843864 -73.83632"}},
	{"366", "Parkchester (6)", "Bronx", subway, 1064, []string{"40.833225 -73.86082"}},
	{"378", "Woodlawn (4)", "Bronx", subway, 623, []string{"40.886036 -73.87875"}},
	{"388", "167 St (4)", "Bronx", subway, 729, []string{"40.835537 -73.9214"}},
	{"39", "Bay Ridge-95 St (R)", "Brooklyn", subway, 421, []string{"40.616623 -74.030876"}},
	{"391", "138 St-Grand Concourse (4,5)", "Bronx", subway, 432, []string{"40.813225 -73.92985"}},
	{"403", "33 St (6)", "Manhattan", subway, 5002, []string{"40.746082 -73.98208"}},
	{"424", "Pelham Pkwy (2,5)", "Bronx", subway, 956, []string{"40.857193 -73.867615"}},
	{"434", "3 Av-149 St (2,5)", "Bronx", subway, 1654, []string{"40.81611 -73.917755"}},
	{"441", "Central Park North (110 St) (2,3)", "Manhattan", subway, 996, []string{"40.799076 -73.95182"}},
	{"442", "Eastchester-Dyre Av (5)", "Bronx", subway, 247, []string{"40.8883 -73.83083"}},
	{"443", "Baychester Av (5)", "Bronx", subway, 188, []string{"40.878662 -73.83859"}},
	{"445", "Pelham Pkwy (5)", "Bronx", subway, 188, []string{"40.858986 -73.85536"}},
	{"447", "Flushing-Main St (7)", "Queens", subway, 8250, []string{"40.7596 -73.83003"}},
	{"461", "Queensboro Plaza (7,N,W)", "Queens", subway, 2749, []string{"40.750584 -73.9402"}},
	{"501", "St George (SIR)", "Staten Island", railway, 1076, []string{"40.64375 -74.07365"}},
	{"52", "Avenue U (Q)", "Brooklyn", subway, 680, []string{"40.5993 -73.95593"}},
	{"53", "Neck Rd (Q)", "Brooklyn", subway, 314, []string{"40.595245 -73.95516"}},
	{"54", "Sheepshead Bay (B,Q)", "Brooklyn", subway, 1189, []string{"40.586895 -73.954155"}},
	{"6", "39 Av-Dutch Kills (N,W)", "Queens", subway, 522, []string{"40.75288 -73.932755"}},
	{"602", "14 St-Union Sq (L,N,Q,R,W,4,5,6)", "Manhattan", subway, 22928, []string{"40.735737 -73.98995", "40.734673 -73.98995", "40.735737 -73.99057"}},
	{"603", "149 St-Grand Concourse (2,4,5)", "Bronx", subway, 1291, []string{"40.818375 -73.92735"}},
	{"607", "34 St-Herald Sq (B,D,F,M,N,Q,R,W)", "Manhattan", subway, 23323, []string{"40.749718 -73.98782", "40.749565 -73.98795"}},
	{"608", "4 Av (F,G)/9 St (R)", "Brooklyn", subway, 2433, []string{"40.67085 -73.988304", "40.670273 -73.98978"}},
	{"610", "Grand Central-42 St (S,4,5,6,7)", "Manhattan", subway, 22166, []string{"40.751778 -73.976845"}},
	{"611", "Times Sq-42 St (N,Q,R,W,S,1,2,3,7)/42 St (A,C,E)", "Manhattan", subway, 38768, []string{"40.75731 -73.986755", "40.75731 -73.987495", "40.754673 -73.986755"}},
	{"614", "59 St-Columbus Circle (A,B,C,D,1)", "Manhattan", subway, 14608, []string{"40.768295 -73.981735"}},
	{"618", "14 St (A,C,E)/8 Av (L)", "Manhattan", subway, 11861, []string{"40.740894 -74.00169", "40.739777 -74.00258"}},
	{"628", "Fulton St (A,C,J,Z,2,3,4,5)", "Manhattan", subway, 13581, []string{"40.710373 -74.00657", "40.710373 -74.00758", "40.710197 -74.00769", "40.71037 -74.00951", "40.709415 -74.00657", "40.71037 -74.00657"}},
	{"70", "Bay 50 St (D)", "Brooklyn", subway, 170, []string{"40.58884 -73.983765"}},
	{"72", "Fort Hamilton Pkwy (N)", "Brooklyn", subway, 535, []string{"40.631386 -74.00535"}},
	{"87", "Crescent St (J,Z)", "Brooklyn", subway, 297, []string{"40.683193 -73.87379"}},
	{"TRAM1", "RI Tramway (Manhattan)", "Manhattan", tram, 1158, []string{"40.761337 -73.96416"}},
	{"TRAM2", "RI Tramway (Roosevelt)", "Manhattan", tram, 678, []string{"40.75734 -73.95412"}},
}
