package lab

// Who got how much, and who held the lock meanwhile.

import (
	"cmp"
	"slices"
	"time"
)

// shares counts the rows of each process at one moment: when time was up, or
// when the first process had all its rows, because with a fixed number of rows
// all end equal. Where processes take from one queue, the end is the moment.
func (t *Trial) shares(processes []account, shared bool) {
	moment := t.For
	if t.For == 0 && !shared {
		moment = firstFinished(processes, t.Rows)
	}
	var rows []int
	for _, a := range processes {
		n, refused := 0, 0
		var worst time.Duration
		for _, r := range a.Records {
			if r.Code&0xff == busy {
				refused++
			}
			if r.Done() && (moment == 0 || r.End <= moment) {
				n += r.Rows
			}
		}
		for w := range t.eachWait(a, !shared) {
			worst = max(worst, w)
		}
		rows = append(rows, n)
		t.Shares = append(t.Shares, Share{a.Name, n, refused, *millis(worst)})
	}
	if len(rows) > 0 {
		t.Poorest, t.Richest = slices.Min(rows), slices.Max(rows)
	}
	t.Fairness = jain(rows)
}

// firstFinished is when the first process had written all its rows; 0 if none
// did.
func firstFinished(processes []account, rows int) time.Duration {
	var first time.Duration
	for _, a := range processes {
		if ended(a) < rows || a.Died != "" {
			continue
		}
		last := a.Records[len(a.Records)-1].End
		if first == 0 || last < first {
			first = last
		}
	}
	return first
}

// jain is Jain's fairness index: 1 where all have the same, 1/n where one has
// it all, nothing where there is nothing to share.
func jain(rows []int) *float64 {
	var sum, squares float64
	for _, n := range rows {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if squares == 0 {
		return nil
	}
	j := sum * sum / (float64(len(rows)) * squares)
	return &j
}

// holders adds up who held the lock for how long, by the processes' own word.
func (t *Trial) holders(all []account) {
	var total time.Duration
	for _, a := range all {
		h := Holder{Process: a.Name, PID: a.PID}
		for _, r := range a.Records {
			if r.Got >= 0 {
				h.Holds++
				h.Held += r.Held()
				h.Longest = max(h.Longest, r.Held())
			}
		}
		if h.Holds > 0 {
			t.Holders = append(t.Holders, h)
			total += h.Held
		}
	}
	slices.SortStableFunc(t.Holders, func(a, b Holder) int { return cmp.Compare(b.Held, a.Held) })
	t.HeldSeconds = total.Seconds()
}

// maxLockouts of each process are looked into: more tell nothing new.
const maxLockouts = 20

// lockouts finds, for the longest waits of each process that were refused, who
// held the lock meanwhile.
func (t *Trial) lockouts(processes, all []account) {
	for _, a := range processes {
		var refused []Record
		for _, r := range a.Records {
			if r.Code&0xff == busy {
				refused = append(refused, r)
			}
		}
		slices.SortStableFunc(refused, func(a, b Record) int { return cmp.Compare(b.End-b.Want, a.End-a.Want) })
		for _, r := range refused[:min(maxLockouts, len(refused))] {
			t.Lockouts = append(t.Lockouts, Lockout{
				Process: a.Name, Row: r.First + 1, Code: r.Code, At: r.End, Waited: r.End - r.Want, By: blame(a.Name, r, all),
			})
		}
	}
}

// blame goes through what the others held while a record waited. Records are
// in the order of time, so those that ended before are passed by halving.
func blame(name string, waited Record, all []account) []Blame {
	var by []Blame
	for _, other := range all {
		if other.Name == name {
			continue
		}
		var held time.Duration
		turns := 0
		from, _ := slices.BinarySearchFunc(other.Records, waited.Want, func(r Record, t time.Duration) int {
			return cmp.Compare(r.End, t)
		})
		for _, r := range other.Records[from:] {
			if r.Ready > waited.End {
				break
			}
			if both := min(r.End, waited.End) - max(r.Got, waited.Want); r.Got >= 0 && both > 0 {
				held += both
				turns++
			}
		}
		if held > 0 {
			by = append(by, Blame{other.Name, held, turns})
		}
	}
	slices.SortStableFunc(by, func(a, b Blame) int { return cmp.Compare(b.Held, a.Held) })
	return by
}

// story keeps every record of a trial that is small enough to be told.
func (t *Trial) story(all []account) {
	n := 0
	for _, a := range all {
		n += len(a.Records)
	}
	if n == 0 || n > storyRows || t.Processes > 8 {
		return
	}
	for _, a := range all {
		t.Story = append(t.Story, Tale{a.Name, a.Records})
	}
}
