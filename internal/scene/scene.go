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
