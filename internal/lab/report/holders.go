package report

import (
	"cmp"
	"slices"
	"time"
)

// findHolders adds up who held the lock for how long, by the traces.
func (t *Trial) findHolders(all []Trace) {
	var total time.Duration
	for _, trace := range all {
		h := Holder{Process: trace.Process, PID: trace.PID}
		for e := range trace.Events {
			if e.Begun >= 0 {
				h.Holds++
				h.Held += e.Held()
				h.Longest = max(h.Longest, e.Held())
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

// maxBusyWaits of each process are kept, the longest ones.
const maxBusyWaits = 20

// findBusyWaits finds, for the longest waits of each process that ended with
// SQLITE_BUSY, who held the lock meanwhile.
func (t *Trial) findBusyWaits(processes, all []Trace) {
	byWait := func(a, b Event) int { return cmp.Compare(b.End-b.Wants, a.End-a.Wants) }
	for _, trace := range processes {
		var busy []Event
		for e := range trace.Events {
			if !isBusy(e.Code) {
				continue
			}
			if busy = append(busy, e); len(busy) == 10*maxBusyWaits {
				slices.SortStableFunc(busy, byWait)
				busy = busy[:maxBusyWaits]
			}
		}
		slices.SortStableFunc(busy, byWait)
		for _, e := range busy[:min(maxBusyWaits, len(busy))] {
			t.Busy = append(t.Busy, BusyWait{
				Process: trace.Process, Row: e.First + 1, Code: e.Code, At: e.End, Waited: e.End - e.Wants,
			})
		}
	}
	attribute(t.Busy, all)
}

// attribute adds to each wait who held the lock meanwhile. It reads each trace
// once: waits and holds are both in the order of time.
func attribute(waits []BusyWait, all []Trace) {
	if len(waits) == 0 {
		return
	}
	order := make([]*BusyWait, len(waits))
	for i := range waits {
		order[i] = &waits[i]
	}
	slices.SortStableFunc(order, func(a, b *BusyWait) int { return cmp.Compare(a.At-a.Waited, b.At-b.Waited) })
	for _, trace := range all {
		next := 0               // the first wait that begins after the hold
		var current []*BusyWait // waits that a later hold may fall into
		for e := range trace.Events {
			if e.Begun < 0 {
				continue
			}
			for ; next < len(order) && order[next].At-order[next].Waited < e.End; next++ {
				if order[next].Process != trace.Process {
					current = append(current, order[next])
				}
			}
			current = slices.DeleteFunc(current, func(w *BusyWait) bool { return w.At <= e.Begun })
			for _, w := range current {
				if both := min(e.End, w.At) - max(e.Begun, w.At-w.Waited); both > 0 {
					w.addHold(trace.Process, both)
				}
			}
		}
	}
	for _, w := range order {
		slices.SortStableFunc(w.Holders, func(a, b HeldMeanwhile) int { return cmp.Compare(b.Held, a.Held) })
	}
}

func (w *BusyWait) addHold(process string, held time.Duration) {
	if last := len(w.Holders) - 1; last >= 0 && w.Holders[last].Process == process {
		w.Holders[last].Held += held
		w.Holders[last].Holds++
		return
	}
	w.Holders = append(w.Holders, HeldMeanwhile{process, held, 1})
}
