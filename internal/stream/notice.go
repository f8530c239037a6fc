package stream

// Waiting is said once when it begins and once when it is over; a log full of
// the same line hides everything else.

import (
	"log/slog"
	"time"
)

// A notice is the state of one such trouble. It is not safe for concurrent use.
type notice struct {
	log   *slog.Logger
	after time.Duration // how long the trouble must last to be worth a word
	since time.Time     // zero: there is none
	said  bool
}

// begin says that there is trouble, unless that has been said.
func (n *notice) begin(text string, args ...any) {
	if n.since.IsZero() {
		n.since = time.Now()
	}
	if !n.said && time.Since(n.since) >= n.after {
		n.said = true
		n.log.Warn(text, args...)
	}
}

// end says that it is over, if it was said to be there.
func (n *notice) end(text string, args ...any) {
	if n.said {
		n.log.Info(text, append(args, "after", time.Since(n.since).Round(time.Millisecond))...)
	}
	n.since, n.said = time.Time{}, false
}
