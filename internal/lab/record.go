package lab

// What a process writes down, as lines on its standard output. The lines are
// short because there may be a hundred thousand a second.

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Record is what became of one transaction: of its row, or of its rows.
// Times are since the start barrier.
type Record struct {
	First int // of its rows, counted from 0 for each process
	Rows  int
	Ready time.Duration // the rows could have been written
	Want  time.Duration // began to ask for the lock, or for the queue; -1: did not come to it
	Got   time.Duration // has the lock; -1: never had it
	End   time.Duration // committed or given up
	Task  time.Duration // how long the tasks took, all together
	Code  int           // SQLite's extended code; 0 is fine

	// Unfinished: time ran out before the rows came to an end. Their wait so
	// far counts, their end is not known.
	Unfinished bool
}

// Wait is how long each row of the record waited.
func (r Record) Wait() time.Duration { return max(0, r.End-r.Ready-r.Task) }

// Held is how long the transaction held the lock.
func (r Record) Held() time.Duration {
	if r.Got < 0 {
		return 0
	}
	return r.End - r.Got
}

// Done says whether the rows were written, as far as the process knows.
func (r Record) Done() bool { return r.Code == 0 && !r.Unfinished }

// append writes the record as a line: "R" and ten numbers, times in
// microseconds.
func (r Record) append(b []byte) []byte {
	b = append(b, 'R')
	unfinished := int64(0)
	if r.Unfinished {
		unfinished = 1
	}
	for _, n := range [...]int64{
		int64(r.First), int64(r.Rows), micros(r.Ready), micros(r.Want), micros(r.Got), micros(r.End),
		micros(r.Task), int64(r.Code), unfinished,
	} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	return append(b, '\n')
}

func micros(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Microseconds()
}

func parseRecord(line string) (Record, error) {
	var n [9]int64
	fields := strings.Fields(line)
	if len(fields) != len(n)+1 || fields[0] != "R" {
		return Record{}, fmt.Errorf("lab: not a record: %q", line)
	}
	for i, f := range fields[1:] {
		var err error
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return Record{}, fmt.Errorf("lab: not a record: %q: %w", line, err)
		}
	}
	return Record{
		First: int(n[0]), Rows: int(n[1]), Ready: duration(n[2]), Want: duration(n[3]), Got: duration(n[4]),
		End: duration(n[5]), Task: duration(n[6]), Code: int(n[7]), Unfinished: n[8] == 1,
	}, nil
}

func duration(micros int64) time.Duration {
	if micros < 0 {
		return -1
	}
	return time.Duration(micros) * time.Microsecond
}
