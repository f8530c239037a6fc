package stream

// Errors about the broker and the stream.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A SettingError says that the stream is not as it must be.
type SettingError struct {
	Setting   string
	Got, Want any
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("stream: the %s of stream %s is %v, want %v", e.Setting, Name, e.Got, e.Want)
}

// A DatabaseError says that the rows of this queue go to another database.
// Two databases on one queue would get a part of the rows each.
type DatabaseError struct {
	Database string // the id of the one they go to
	Path     string // where that was when it was first seen
	Copy     bool   // ours is the same by its id: a copy of it, or it was moved
}

func (e *DatabaseError) Error() string {
	if e.Copy {
		return fmt.Sprintf("stream: the rows of this queue go to the database at %s, and this one is a copy of it, or was moved from there", e.Path)
	}
	return fmt.Sprintf("stream: the rows of this queue go to another database: %s (id %.8s)", e.Path, e.Database)
}

// A LiveCopyError reports that another process writes to a copy of this
// database. Of two copies on one queue, each would get only some of the rows.
type LiveCopyError struct {
	Host string // of the other process
	PID  int
	Path string // of its database
}

func (e *LiveCopyError) Error() string {
	return fmt.Sprintf("stream: process %d on host %s writes to a copy of this database, at %s", e.PID, e.Host, e.Path)
}

// A StaleError reports that the queue's messages are acknowledged further than
// this database has them: rows are missing in it.
type StaleError struct {
	Acknowledged uint64 // the last message that was acknowledged or purged
	Stored       uint64 // the last message that is stored in this database
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("stream: this database lacks rows: messages up to %d of the queue were acknowledged, and it has them up to %d", e.Acknowledged, e.Stored)
}

// A RightsError says that the broker refuses what we need to do.
type RightsError struct {
	Text string
	Role string // whose work it is
	User string // who we are
}

func (e *RightsError) Error() string {
	return fmt.Sprintf("stream: permission denied: user %q may not act as a %s: %s", e.User, e.Role, e.Text)
}

// isQueueFull says whether the broker refused a message because its queue is isQueueFull.
// The code alone says only that it was not stored.
func isQueueFull(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	const storeFailed, accountFull = 10077, 10023
	return e.ErrorCode == accountFull || e.ErrorCode == storeFailed && strings.Contains(e.Description, "maximum bytes")
}

// isTooMany reports whether the broker dropped a message because it receives more
// than it can store.
func isTooMany(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.Code == 429
}

// A ServerError is an address that can't be a broker's: waiting for it would
// be for ever.
type ServerError struct{ URL, Problem string }

func (e *ServerError) Error() string {
	return fmt.Sprintf("stream: the server %q %s", e.URL, e.Problem)
}

// checkServers looks at every address of a list.
func checkServers(list string) error {
	for server := range strings.SplitSeq(list, ",") {
		server = strings.TrimSpace(server)
		scheme, rest, ok := strings.Cut(server, "://")
		switch {
		case server == "" || ok && rest == "":
			return &ServerError{redacted(server), "is empty"}
		case ok && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, scheme):
			return &ServerError{redacted(server), "is not a NATS address: " + scheme + "://"}
		}
	}
	return nil
}
