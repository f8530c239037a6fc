package report

import (
	"cmp"
	"iter"
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

// change is a moment at which a process begins or ends to wait for the lock or
// to hold it.
type change struct {
	at          time.Duration
	waits, held int // +1, 0 or -1
}

// changes yields the changes of one process, in the order of time.
func changes(events iter.Seq[Event]) iter.Seq[change] {
	return func(yield func(change) bool) {
		for e := range events {
			waitFrom, waitTo := e.LockWait()
			holdFrom, holdTo := e.Hold()
			if waitTo > waitFrom && !(yield(change{waitFrom, 1, 0}) && yield(change{waitTo, -1, 0})) {
				return
			}
			if holdTo > holdFrom && !(yield(change{holdFrom, 0, 1}) && yield(change{holdTo, 0, -1})) {
				return
			}
		}
	}
}

// sumLockWaits goes through the changes of all processes in the order of time,
// and adds up how long how many waited while the lock was held or free.
func sumLockWaits(processes []Trace) (sum LockWait) {
	type source struct {
		next func() (change, bool)
		head change
	}
	var sources []*source
	for _, trace := range processes {
		next, stop := iter.Pull(changes(trace.Events))
		defer stop()
		if head, ok := next(); ok {
			sources = append(sources, &source{next, head})
		}
	}
	var now time.Duration
	var waits, held int
	for len(sources) > 0 {
		first := 0
		for i, s := range sources {
			if s.head.at < sources[first].head.at {
				first = i
			}
		}
		s := sources[first]
		if passed := s.head.at - now; passed > 0 {
			sum.Total += time.Duration(waits) * passed
			if held == 0 {
				sum.Free += time.Duration(waits) * passed
			} else if waits > 0 {
				sum.Contended += passed
			}
			now = s.head.at
		}
		waits, held = waits+s.head.waits, held+s.head.held
		var ok bool
		if s.head, ok = s.next(); !ok {
			sources = slices.Delete(sources, first, first+1)
		}
	}
	return sum
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
			from, to := e.Hold()
			for ; next < len(order) && order[next].At-order[next].Waited < to; next++ {
				if order[next].Process != trace.Process {
					current = append(current, order[next])
				}
			}
			current = slices.DeleteFunc(current, func(w *BusyWait) bool { return w.At <= from })
			for _, w := range current {
				if both := min(to, w.At) - max(from, w.At-w.Waited); both > 0 {
					w.addHold(trace.Process, both)
				}
			}
		}
	}
	for _, w := range order {
		w.Free = w.Waited
		for _, h := range w.Holders {
			w.Free -= h.Held
		}
		w.Free = max(0, w.Free)
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
