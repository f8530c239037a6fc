// Package scene plays small stories of SQLite's locks, one file a scene.
//
// The actors of a scene are processes of this binary, because "database is
// locked" is about processes. A director hands them one statement at a time
// and waits for the answer, so the same story comes out every time, without a
// single sleep to make it so. Each scene says what it expects, and fails if
// SQLite does otherwise: what is printed has happened.
//
// To add a scene, write a file like deadlock.go.
package scene

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"modernc.org/sqlite/lib"
)

// A Scene is a story that can be played.
type Scene struct {
	Place int // in the list
	Name  string
	Title string
	Links []string // SQLite's own pages on it
	// Unable says why this system can't play it; empty where it can.
	Unable string
	play   func(*stage)
}

var scenes []Scene

// register is called by the init of each scene's file.
func register(s Scene) { scenes = append(scenes, s) }

// All are the scenes, in the order to read them in.
func All() []Scene {
	return slices.SortedFunc(slices.Values(scenes), func(a, b Scene) int { return cmp.Compare(a.Place, b.Place) })
}

// Find is the scene of that name.
func Find(name string) (Scene, bool) {
	i := slices.IndexFunc(scenes, func(s Scene) bool { return s.Name == name })
	if i < 0 {
		return Scene{}, false
	}
	return scenes[i], true
}

// ErrUnable is returned for a scene that this system can't play.
var ErrUnable = errors.New("cannot be played here")

// Options say where a scene is played.
type Options struct {
	Dir    string    // folder for its databases, made if absent; what a scene puts there it removes
	Actor  []string  // command that runs Actor; default: this binary's subcommand "actor"
	Stderr io.Writer // for what an actor says when it fails
}

// Play plays the scene. The story is what happened up to the error, if there
// is one.
func (s Scene) Play(ctx context.Context, o Options) (story Story, err error) {
	story = Story{Name: s.Name, Title: s.Title, Acts: []Act{}, Links: s.Links}
	defer func() {
		if err != nil {
			story.Error = new(err.Error())
		}
	}()
	if s.Unable != "" {
		return story, fmt.Errorf("scene: %s: %w: %s", s.Name, ErrUnable, s.Unable)
	}
	if o.Actor == nil {
		self, err := os.Executable()
		if err != nil {
			return story, fmt.Errorf("scene: %s: %w", s.Name, err)
		}
		o.Actor = []string{self, "actor"}
	}
	st, err := newStage(ctx, o)
	if err != nil {
		return story, fmt.Errorf("scene: %s: %w", s.Name, err)
	}
	s.play(st)
	err = errors.Join(st.err, st.close())
	story.Acts, story.Why, story.Cure, story.Seconds = st.acts, st.why, st.cure, st.seconds()
	switch {
	case ctx.Err() != nil:
		return story, ctx.Err()
	case err != nil:
		return story, fmt.Errorf("scene: %s: %w", s.Name, err)
	}
	story.OK = true
	return story, nil
}

// What a scene leaves: who did what, when, and what SQLite said.

// A Story is what happened when a scene was played.
type Story struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	OK      bool     `json:"ok"` // it came out as it must
	Error   *string  `json:"error"`
	Seconds float64  `json:"seconds"`
	Acts    []Act    `json:"acts"`
	Why     string   `json:"why"`
	Cure    string   `json:"cure"`
	Links   []string `json:"links"`
}

// An Act is a part of a story, on a database of its own.
type Act struct {
	Title       string  `json:"title"`
	JournalMode string  `json:"journal_mode"`
	Cast        []Role  `json:"cast"`
	Events      []Event `json:"events"`
}

// A Role is an actor: a process with one connection.
type Role struct {
	Actor         string `json:"actor"`
	PID           int    `json:"pid"`
	BusyTimeoutMS int64  `json:"busy_timeout_ms"`
}

// Kinds of event. A statement is one event when nothing else happens while it
// runs, and two when it does: started, ended.
const (
	kindStatement = "statement"
	kindStarted   = "started"
	kindEnded     = "ended"
	kindShell     = "shell" // done or seen from outside of SQLite
)

// An Event is a line of the time line.
type Event struct {
	AtMS     float64  `json:"at_ms"` // since the act began
	Actor    string   `json:"actor"` // "shell" for what happens outside of SQLite
	Kind     string   `json:"kind"`
	Text     string   `json:"text"`      // the statement, or what was typed
	Code     *int     `json:"code"`      // SQLite's extended result code
	CodeName *string  `json:"code_name"` // and its name
	Message  *string  `json:"message"`   // SQLite's own words, when it refused
	WaitedMS *float64 `json:"waited_ms"` // from the statement's start to its end
	AtOnce   bool     `json:"at_once"`   // refused without waiting for the busy timeout
	Result   *string  `json:"result"`    // what it read, or what the shell saw
	Note     string   `json:"note"`
}

var codeNames = map[int]string{
	sqlite3.SQLITE_OK:            "SQLITE_OK",
	sqlite3.SQLITE_ERROR:         "SQLITE_ERROR",
	sqlite3.SQLITE_BUSY:          "SQLITE_BUSY",
	sqlite3.SQLITE_BUSY_RECOVERY: "SQLITE_BUSY_RECOVERY",
	sqlite3.SQLITE_BUSY_SNAPSHOT: "SQLITE_BUSY_SNAPSHOT",
	sqlite3.SQLITE_LOCKED:        "SQLITE_LOCKED",
	sqlite3.SQLITE_IOERR:         "SQLITE_IOERR",
	sqlite3.SQLITE_FULL:          "SQLITE_FULL",
	sqlite3.SQLITE_CANTOPEN:      "SQLITE_CANTOPEN",
	sqlite3.SQLITE_PROTOCOL:      "SQLITE_PROTOCOL",
	sqlite3.SQLITE_SCHEMA:        "SQLITE_SCHEMA",
}

func codeName(code int) string {
	if name, ok := codeNames[code]; ok {
		return name
	}
	if name, ok := codeNames[code&0xff]; ok {
		return fmt.Sprintf("%s (extended)", name)
	}
	return "unknown"
}
