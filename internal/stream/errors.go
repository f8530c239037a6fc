package stream

// Errors about the broker and the stream.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A SettingError reports that a setting of the stream is wrong.
type SettingError struct {
	Setting   string
	Got, Want any
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("the %s of stream %s is %v, want %v", e.Setting, Name, e.Got, e.Want)
}

// A DatabaseError reports that another database owns the consumer of this queue. Two
// databases on one queue would each get only some of the rows.
type DatabaseError struct {
	Database string // id of the owner
	Path     string // of the owner when it was first seen
	Copy     bool   // this database has the same id: it is a copy, or was moved
}

func (e *DatabaseError) Error() string {
	if e.Copy {
		return fmt.Sprintf("the rows of this queue go to the database at %s, and this one is a copy of it, or was moved from there", e.Path)
	}
	return fmt.Sprintf("the rows of this queue go to another database: %s (id %.8s)", e.Path, e.Database)
}

// A LiveCopyError reports that another process writes to a copy of this
// database. Of two copies on one queue, each would get only some of the rows.
type LiveCopyError struct {
	Host string // of the other process
	PID  int
	Path string // of its database
}

func (e *LiveCopyError) Error() string {
	return fmt.Sprintf("process %d on host %s writes to a copy of this database, at %s", e.PID, e.Host, e.Path)
}

// A StaleError reports that this database lacks rows: messages of the queue are
// acknowledged that it has not stored.
type StaleError struct {
	Acknowledged uint64 // the last message that was acknowledged or purged
	Stored       uint64 // the last message that is stored in this database
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("this database lacks rows: messages up to %d of the queue were acknowledged, and it has them up to %d", e.Acknowledged, e.Stored)
}

// A RightsError reports that the broker denied a permission.
type RightsError struct {
	Text string // error text of the broker
	Role string // role with the permission
	User string // user name of this connection
}

func (e *RightsError) Error() string {
	return fmt.Sprintf("permission denied: user %q may not act as a %s: %s", e.User, e.Role, e.Text)
}

// isQueueFull reports whether the broker rejected a message because the queue is full.
// The error code alone means only that the message was not stored.
func isQueueFull(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	const storeFailed, accountFull = 10077, 10023
	return e.ErrorCode == accountFull || e.ErrorCode == storeFailed && strings.Contains(e.Description, "maximum bytes")
}

// isTooMany reports whether the broker dropped a message because too many wait for
// the disk (429).
func isTooMany(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.Code == 429
}

// A ServerError reports an address that is not a valid NATS URL. It is permanent.
type ServerError struct{ URL, Problem string }

func (e *ServerError) Error() string {
	return fmt.Sprintf("server %q: %s", e.URL, e.Problem)
}

// checkServers returns a [*ServerError] for the first invalid address of a list.
func checkServers(list string) error {
	for server := range strings.SplitSeq(list, ",") {
		server = strings.TrimSpace(server)
		scheme, rest, ok := strings.Cut(server, "://")
		switch {
		case server == "" || ok && rest == "":
			return &ServerError{redacted(server), "the address is empty"}
		case ok && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, scheme):
			return &ServerError{redacted(server), "not a NATS address: " + scheme + "://"}
		}
	}
	return nil
}
