package web

// Server-sent events: what a page has been told, and passing it on.

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	pingInterval = 15 * time.Second // a comment, so that a dead connection is noticed
	retryDelay   = time.Second      // after which a browser connects again
	writeLimit   = 10 * time.Second // for a viewer to take writeChunk bytes
	writeChunk   = 64 << 10
	hubLimit     = 64 << 20 // bytes of messages that a hub keeps
)

// ErrFull is returned for a message that a hub has no room for.
var ErrFull = errors.New("web: the page has no room for another message")

// Hub keeps the messages of a page and passes them on to its viewers. A message
// is a JSON object with a "type". Messages belong to groups: Publish adds one
// to its group, Replace puts one in the place of its whole group. So the hub
// holds what a viewer needs who comes late, and not more.
//
// A viewer is a place in this log, not a queue: one that is slow finds, when it
// comes to read, only what is still there, which is the newest state of each
// group. No publisher waits for a viewer.
//
// Each stream that does not continue an earlier one begins with the message
// {"type":"reset"}: the page forgets all it knew.
type Hub struct {
	mu      sync.Mutex    // guards all below
	epoch   string        // changes with Reset, and differs between processes
	log     []message     // in the order of their numbers
	last    uint64        // number of the newest message
	size    int           // bytes of the log
	limit   int           // of size
	changed chan struct{} // closed when there is something new
}

type message struct {
	number uint64
	group  string
	data   []byte // JSON, one line
}

// NewHub returns an empty Hub.
func NewHub() *Hub {
	return &Hub{epoch: newEpoch(), limit: hubLimit, changed: make(chan struct{})}
}

func newEpoch() string { return rand.Text()[:8] }

// Publish adds a message to a group. It returns [ErrFull] and keeps nothing
// if that were too much.
func (h *Hub) Publish(group string, v any) error { return h.add(group, v, false) }

// Replace drops all messages of a group for one that stands for them.
func (h *Hub) Replace(group string, v any) error { return h.add(group, v, true) }

func (h *Hub) add(group string, v any, replace bool) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("web: message of %s: %w", group, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	inGroup := func(m message) bool { return m.group == group }
	freed := 0
	if replace {
		for _, m := range h.log {
			if inGroup(m) {
				freed += len(m.data)
			}
		}
	}
	if h.size-freed+len(data) > h.limit {
		return ErrFull
	}
	if replace {
		h.log = slices.DeleteFunc(h.log, inGroup)
	}
	h.last++
	h.log = append(h.log, message{h.last, group, data})
	h.size += len(data) - freed
	h.wake()
	return nil
}

// Reset drops all messages. Every viewer begins again.
func (h *Hub) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.log, h.last, h.size = newEpoch(), nil, 0, 0
	h.wake()
}

func (h *Hub) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// place is how far a viewer has read.
type place struct {
	epoch  string
	number uint64
}

// parsePlace reads a Last-Event-ID. What is no place is the beginning.
func parsePlace(id string) place {
	epoch, number, ok := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return place{}
	}
	return place{epoch, n}
}

func (p place) String() string { return p.epoch + "-" + strconv.FormatUint(p.number, 10) }

var resetMessage = []byte(`{"type":"reset"}`)

// next returns the first message after a place, and the place after it. If there
// is none, data is nil, and changed is closed as soon as there is one.
func (h *Hub) next(p place) (data []byte, after place, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.epoch != h.epoch || p.number > h.last {
		return resetMessage, place{h.epoch, 0}, nil
	}
	i, found := slices.BinarySearchFunc(h.log, p.number, func(m message, n uint64) int { return cmp.Compare(m.number, n) })
	if found {
		i++
	}
	if i == len(h.log) {
		return nil, p, h.changed
	}
	return h.log[i].data, place{h.epoch, h.log[i].number}, nil
}

// ServeHTTP is GET /events. It returns when the request's context ends, or
// when the viewer no longer takes what it is sent.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	v := &viewer{w: w, control: http.NewResponseController(w)}
	v.write(fmt.Appendf(nil, "retry: %d\n\n", retryDelay.Milliseconds()))
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	at := parsePlace(r.Header.Get("Last-Event-ID"))
	for v.err == nil && r.Context().Err() == nil {
		data, after, changed := h.next(at)
		if data != nil {
			v.write(slices.Concat([]byte("id: "+after.String()+"\ndata: "), data, []byte("\n\n")))
			at = after
			continue
		}
		v.flush()
		select {
		case <-changed:
		case <-ping.C:
			v.write([]byte(": ping\n\n"))
		case <-r.Context().Done():
		}
	}
	// A browser that was too slow connects again, and reads on at its place.
}

// viewer is the connection to a browser. After an error it writes nothing.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// write writes in chunks, each with its own deadline: a slow viewer may take
// long for a large message, a dead one may not.
func (v *viewer) write(data []byte) {
	for chunk := range slices.Chunk(data, writeChunk) {
		if v.err == nil {
			v.err = v.control.SetWriteDeadline(time.Now().Add(writeLimit))
		}
		if v.err == nil {
			_, v.err = v.w.Write(chunk)
		}
	}
}

func (v *viewer) flush() {
	if v.err == nil {
		v.err = v.control.SetWriteDeadline(time.Now().Add(writeLimit))
	}
	if v.err == nil {
		v.err = v.control.Flush()
	}
}
