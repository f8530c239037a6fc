// Package scene plays short stories about SQLite's locks. Each scene is one file.
//
// The actors of a scene are processes of this binary, because SQLite's locks
// belong to processes. The parent sends an actor one statement and waits for the
// reply before the next, so every run takes the same course without a sleep.
// Each scene states what it expects and fails if SQLite does something else: a
// printed story has happened.
//
// To add a scene, write a file like deadlock.go and add it to the list in All.
package scene

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Scene is a story that can be played.
type Scene struct {
	Name  string
	Title string
	Links []string // SQLite's documentation of the subject
	// Unsupported says why this system cannot play the scene. It is empty where
	// the system can.
	Unsupported string
	play        func(*stage)
}

// All returns the scenes in the order to read them.
func All() []Scene {
	return []Scene{deadlock, snapshot, schema, checkpoint, killedHolder, stoppedHolder}
}

// Find returns the scene with that name.
func Find(name string) (Scene, bool) {
	all := All()
	i := slices.IndexFunc(all, func(s Scene) bool { return s.Name == name })
	if i < 0 {
		return Scene{}, false
	}
	return all[i], true
}

// ErrUnsupported is returned for a scene that this system cannot play.
var ErrUnsupported = errors.New("not supported on this system")

// Options say where and how a scene is played.
type Options struct {
	Dir     string    // folder for the databases, created if absent; the scene removes its files
	Command []string  // command that runs Child; default: this binary with the argument "actor"
	Stderr  io.Writer // standard error of the children
}

// Play plays the scene. If it fails, the story holds what happened before the
// error.
func (s Scene) Play(ctx context.Context, o Options) (story Story, err error) {
	story = Story{Name: s.Name, Title: s.Title, Acts: []Act{}, Links: s.Links}
	defer func() {
		if err != nil {
			story.Error = new(err.Error())
		}
	}()
	if s.Unsupported != "" {
		return story, fmt.Errorf("scene: %s: %w: %s", s.Name, ErrUnsupported, s.Unsupported)
	}
	if o.Command == nil {
		self, err := os.Executable()
		if err != nil {
			return story, fmt.Errorf("scene: %s: %w", s.Name, err)
		}
		o.Command = []string{self, "actor"}
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

// Story is what happened when a scene was played.
type Story struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	OK      bool     `json:"ok"` // everything happened as the scene expects
	Error   *string  `json:"error"`
	Seconds float64  `json:"seconds"`
	Acts    []Act    `json:"acts"`
	Why     string   `json:"why"`
	Cure    string   `json:"cure"`
	Links   []string `json:"links"`
}

// Act is a part of a story with a database of its own.
type Act struct {
	Title       string  `json:"title"`
	JournalMode string  `json:"journal_mode"`
	Actors      []Actor `json:"cast"`
	Steps       []Step  `json:"events"`
}

// Actor is a process with one connection to the database.
type Actor struct {
	Name          string `json:"actor"`
	PID           int    `json:"pid"`
	BusyTimeoutMS int64  `json:"busy_timeout_ms"`
}

// The kinds of step. A statement is one step if nothing else happens while it
// runs. Otherwise it is two: started and ended.
const (
	kindStatement = "statement"
	kindStarted   = "started"
	kindEnded     = "ended"
	kindShell     = "shell" // done or seen outside of SQLite
)

// Step is one line of a story.
type Step struct {
	AtMS     float64  `json:"at_ms"` // since the act began
	Actor    string   `json:"actor"` // "shell" for what happens outside of SQLite
	Kind     string   `json:"kind"`
	Text     string   `json:"text"`      // the statement or the shell command
	Code     *int     `json:"code"`      // SQLite's extended result code
	CodeName *string  `json:"code_name"` // and its name
	Message  *string  `json:"message"`   // SQLite's error message
	WaitedMS *float64 `json:"waited_ms"` // from the statement's start to its end
	AtOnce   bool     `json:"at_once"`   // failed without waiting for the busy timeout
	Result   *string  `json:"result"`    // the rows, or what the shell printed
	Note     string   `json:"note"`
	// Locks are those held after the step, as the kernel shows them; nil where it
	// does not.
	Locks []HeldLock `json:"locks"`
}

// HeldLock is a lock of an actor on the act's database.
type HeldLock struct {
	Actor  string `json:"actor"`
	Lock   string `json:"lock"`   // SQLite's name for it
	Blocks bool   `json:"blocks"` // another process may have to wait for it
}
