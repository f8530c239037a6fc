// Package stream carries chunks of rows over NATS JetStream: names and limits,
// the form of a message, publishing, reading, confirming.
//
// It starts with [Connect]. A producer then takes a [Publisher], a consumer a
// [Reader] and, for what no queue keeps, [Requests]. All of them outlive the
// broker: while it is away they wait, say so once, and go on.
//
// # Delivery
//
// What is published is acknowledged when the broker has it on disk. It is
// delivered until the reader acknowledges it, and may be delivered more than
// once: whoever stores it must know a row again (source and line say which it
// is). There is no Nats-Msg-Id: the broker's duplicate window knows messages,
// not rows, and would swallow a file that is sent again in other pieces.
package stream

import "strings"

// The names on the wire. Any NATS client may use them.
const (
	Name    = "MTA"    // of the stream
	Durable = "writer" // of its one consumer

	queued  = "mta.ridership." // subjects of the stream, then the source
	asked   = "mta.now."       // subjects of requests, then the source
	confirm = "turnstile.confirm."

	sourceHeader  = "Turnstile-Source"
	lineHeader    = "Turnstile-Line"    // of the first record
	columnsHeader = "Turnstile-Columns" // the header record
	confirmHeader = "Turnstile-Confirm" // optional: who wants to hear of the commit
	lengthHeader  = "Turnstile-Length"  // optional: of a line too long to carry, in bytes
)

// MaxMessage is the most bytes of a message, headers included. NATS itself
// allows 1 MiB unless told otherwise.
const MaxMessage = 960 << 10

// inFlight is how many bytes may be on their way to the broker, or from it,
// at a time. More gains nothing and costs memory.
const inFlight = 8 << 20

// Subject is where the rows of a source are published.
func Subject(source string) string { return queued + token(source) }

// token makes a token of a subject out of a name. Two names may share one: it
// is for people and filters, the header has the name itself.
func token(name string) string {
	return strings.Map(func(r rune) rune {
		if word(r) {
			return r
		}
		return '_'
	}, name)
}

func word(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// confirmable says whether we may publish to a subject that a stranger named.
// Without this check a message could name $JS.ACK... and have the consumer
// itself remove a row from the queue that is not stored yet.
func confirmable(subject string) bool {
	rest, ok := strings.CutPrefix(subject, confirm)
	if !ok || len(subject) > 128 {
		return false
	}
	for t := range strings.SplitSeq(rest, ".") {
		if t == "" || strings.ContainsFunc(t, func(r rune) bool { return !word(r) }) {
			return false
		}
	}
	return true
}
