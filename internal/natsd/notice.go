package natsd

import (
	"log/slog"
	"time"
)

// A Notice logs a condition when it begins and when it has ended, and not each time
// it comes and goes: a full queue that is being emptied has room every other second.
type Notice struct {
	Log          *slog.Logger
	Began, Ended string
	After        time.Duration // it must last so long to be logged

	said  bool
	since time.Time // of the condition, or of its end if it is said
	next  time.Time // the earliest time for another beginning
}

const (
	// endedAfter is how long a condition must be absent to have ended.
	endedAfter = 5 * time.Second
	// noticeEvery is the least time from one beginning to the next.
	noticeEvery = 30 * time.Second
)

// Report is called now and then with the condition, nil if there is none.
func (n *Notice) Report(condition error, now time.Time) {
	if (condition != nil) == n.said { // nothing is to be logged
		n.since = time.Time{}
		return
	}
	if n.since.IsZero() {
		n.since = now
	}
	switch lasted := now.Sub(n.since); {
	case n.said && lasted >= endedAfter:
		n.Log.Info(n.Ended)
	case !n.said && lasted >= n.After && !now.Before(n.next):
		n.Log.Warn(n.Began, "error", condition)
		n.next = now.Add(noticeEvery)
	default:
		return
	}
	n.said, n.since = !n.said, time.Time{}
}
