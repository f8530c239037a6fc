package main

// contention scene: small stories of SQLite's locks, played step by step.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"turnstile/internal/cli"
	scenes "turnstile/internal/scene"
)

const sceneHelp = `
contention scene plays a small story of SQLite's locks with real processes, a
statement at a time, and says why it went so and what cures it.

  contention scene NAME|all [flags]
  contention scene list

Examples:
  contention scene list
  contention scene deadlock
  contention scene all --output scenes.txt
`

const sceneManual = `
--format json writes one document:
{"scenes":[{"name","title","ok","error","seconds","acts":[{"title","journal_mode",
"cast":[{"actor","pid","busy_timeout_ms"}],"events":[{"at_ms","actor","kind","text","code",
"code_name","message","waited_ms","at_once","result","note"}]}],"why","cure","links":[]}],
"interrupted":false}
kind is statement, or started and ended where something happens in between, or shell for
what is done and seen from outside of SQLite. code is SQLite's extended result code. A
scene whose story comes out otherwise than it must has "ok": false, and the exit status is 1.
scene list --format json writes [{"name","title","links":[],"unable"}].
`

// actor is one process of a scene; not for people.
func actor(ctx context.Context, _ []string, env cli.Env) error {
	return scenes.Actor(ctx, env.Stdin, env.Stdout)
}

func scene(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("contention scene", sceneHelp)
	result := f.ResultFlags("text", "json")
	dir := f.String("dir", "var", "play in a temporary folder below `DIR`")
	f.Manual(sceneManual)
	if done, err := f.Parse(args, env); done || err != nil {
		return err
	}
	if err := result.Check(); err != nil {
		return err
	}
	switch {
	case f.NArg() == 0:
		return cli.Usagef("contention scene list", "which scene?")
	case f.NArg() > 1:
		return cli.Usagef("contention scene all", "one scene at a time, or all: unexpected argument %q", f.Arg(1))
	case f.Arg(0) == "list":
		return result.Write(env, func(w io.Writer, _ bool) error { return listScenes(w, result.Format) })
	}
	chosen, err := choose(f.Arg(0))
	if err != nil {
		return err
	}
	p, err := play(ctx, chosen, scenes.Options{Dir: *dir, Stderr: env.Stderr})
	if werr := result.Write(env, func(w io.Writer, colour bool) error { return p.write(w, result.Format, colour) }); werr != nil {
		return errors.Join(werr, err)
	}
	return err
}

func choose(name string) ([]scenes.Scene, error) {
	if name != "all" {
		s, ok := scenes.Find(name)
		if !ok {
			return nil, cli.Usagef("one of: "+strings.Join(sceneNames(), ", ")+", all", "unknown scene %q", name)
		}
		return []scenes.Scene{s}, nil
	}
	return scenes.All(), nil
}

func sceneNames() (names []string) {
	for _, s := range scenes.All() {
		names = append(names, s.Name)
	}
	return names
}

// A playbill is the whole result.
type playbill struct {
	Scenes      []scenes.Story `json:"scenes"`
	Interrupted bool           `json:"interrupted"`
}

// play plays the scenes, also after one that failed. What a system can't play
// is an error only if it is all that was asked for.
func play(ctx context.Context, chosen []scenes.Scene, o scenes.Options) (playbill, error) {
	p := playbill{Scenes: []scenes.Story{}}
	var errs []error
	for _, s := range chosen {
		story, err := s.Play(ctx, o)
		p.Scenes = append(p.Scenes, story)
		if ctx.Err() != nil {
			p.Interrupted = true
			return p, fmt.Errorf("%w in scene %s", cli.ErrInterrupted, s.Name)
		}
		if err != nil && (len(chosen) == 1 || !errors.Is(err, scenes.ErrUnable)) {
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

func (p playbill) write(w io.Writer, format string, colour bool) error {
	if format == "json" {
		return cli.WriteJSON(w, p)
	}
	for i, s := range p.Scenes {
		if i > 0 {
			if _, err := io.WriteString(w, "\n\n"); err != nil {
				return err
			}
		}
		if err := s.WriteText(w, colour); err != nil {
			return err
		}
	}
	return nil
}

func listScenes(w io.Writer, format string) error {
	type entry struct {
		Name   string   `json:"name"`
		Title  string   `json:"title"`
		Links  []string `json:"links"`
		Unable string   `json:"unable"`
	}
	var list []entry
	for _, s := range scenes.All() {
		list = append(list, entry{s.Name, s.Title, s.Links, s.Unable})
	}
	if format == "json" {
		return cli.WriteJSON(w, list)
	}
	for _, e := range list {
		if e.Unable != "" {
			e.Title += " (not here: " + e.Unable + ")"
		}
		if _, err := fmt.Fprintf(w, "%-15s %s\n", e.Name, e.Title); err != nil {
			return err
		}
	}
	return nil
}
