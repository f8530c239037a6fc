package main

// contention scene: short stories about SQLite's locks, played step by step.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"turnstile/internal/about"
	"turnstile/internal/cli"
	scenes "turnstile/internal/scene"
	"turnstile/internal/web"
)

const sceneHelp = `
Play a short story about SQLite's locks, step by step, with real processes. It
ends with the reason for what happened and the cure.

Usage:
  contention scene NAME|all [flags]
  contention scene list

  contention scene list                     the scenes, a line each
  contention scene deadlock
  contention scene all --pause              for a class: Enter for the next act
  contention scene all --html scenes.html   a page: the actors side by side, and
                                            their locks
  contention scene all --output scenes.txt
`

const sceneManual = `
JSON: one document
  {"scenes":[{"name","title","ok","error","seconds",
    "acts":[{"title","journal_mode",
     "cast":[{"actor","pid","busy_timeout_ms"}],
     "events":[{"at_ms","actor","kind","text","code","code_name","message",
      "waited_ms","at_once","result","note",
      "locks":[{"actor","lock","blocks"}]}]}],
    "why","cure","links":[]}],
   "interrupted":false}
  cast: the processes. kind: statement; started and ended if another process
  acts in between; shell for what happens outside of SQLite. code: SQLite's
  extended result code. If SQLite does something else than the scene expects,
  "ok" is false and the exit status is 1. locks: those held after the step, as
  the kernel's table shows them (Linux), else null; blocks: another process may
  have to wait for it.
--trace writes the Chrome trace format: a process for each act, a thread for
  each actor, a slice for each statement with SQLite's answer. Around them:
  reads, has the lock. Inside: waits for the lock.
JSON of scene list: [{"name","title","links":[],"unable"}]
  unable: why this system cannot play the scene, or ""
`

// actor runs one process of a scene. Users do not start it.
func actor(ctx context.Context, _ []string, env cli.Env) error {
	return scenes.Child(ctx, env.Stdin, env.Stdout)
}

func scene(ctx context.Context, args []string, env cli.Env) error {
	f := cli.NewFlags("contention scene", sceneHelp)
	result := f.ResultFlags("text", "json")
	dir := f.String("dir", "var", "play in a temporary folder below `DIR`")
	pause := f.Bool("pause", false, "wait for Enter after each act, and before why and cure")
	trace, html := traceFlag(f), addHTMLFlags(f, false)
	f.Advanced("trace")
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
	if err := cli.SayNewFolder(env, filepath.Join(*dir, "x")); err != nil {
		return err
	}
	options := scenes.Options{Dir: *dir, Stderr: env.Stderr}
	if *pause {
		if result.Format != "text" || f.Changed("output") || *trace != "" || html.file != "" {
			return cli.Usagef("contention scene "+f.Arg(0)+" --pause", "--pause is for a text on the terminal, without --format, --output, --html and --trace")
		}
		return present(ctx, chosen, options, env)
	}
	played, err := play(ctx, chosen, options)
	if len(played.Scenes) == 0 {
		return err
	}
	if werr := result.Write(env, func(w io.Writer, colour bool) error { return played.write(w, result.Format, colour) }); werr != nil {
		return errors.Join(werr, err)
	}
	return errors.Join(err, writeFile(env, *trace, openTrace, func(w io.Writer) error { return scenes.WriteTrace(w, played.Scenes) }), html.write(env, func(w io.Writer) error {
		return web.WriteScenes(w, played.Scenes, cli.Invocation("contention")+" scene "+strings.Join(args, " "), about.Collect(ctx, *dir).Short()+".")
	}))
}

func choose(name string) ([]scenes.Scene, error) {
	if name != "all" {
		s, ok := scenes.Find(name)
		if !ok {
			return nil, cli.Usagef("use one of: "+strings.Join(sceneNames(), ", ")+", all", "unknown scene %q", name)
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

// sceneResult is the JSON document.
type sceneResult struct {
	Scenes      []scenes.Story `json:"scenes"`
	Interrupted bool           `json:"interrupted"`
}

// play plays the scenes, and goes on after one that failed. A scene that this
// system cannot play is an error only if it is the only one.
func play(ctx context.Context, chosen []scenes.Scene, o scenes.Options) (sceneResult, error) {
	p := sceneResult{Scenes: []scenes.Story{}}
	var errs []error
	for _, s := range chosen {
		story, err := s.Play(ctx, o)
		if _, ok := errors.AsType[*fs.PathError](err); ok && len(story.Acts) == 0 {
			return p, errors.Join(append(errs, err)...) // no folder to play in: that is no outcome
		}
		p.Scenes = append(p.Scenes, story)
		if ctx.Err() != nil {
			p.Interrupted = true
			return p, fmt.Errorf("%w in scene %s", cli.ErrInterrupted, s.Name)
		}
		if err != nil && (len(chosen) == 1 || !errors.Is(err, scenes.ErrUnsupported)) {
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

// present plays the scenes and shows them part by part, so that a class can say
// what comes next. It goes on at each line of standard input.
func present(ctx context.Context, chosen []scenes.Scene, o scenes.Options, env cli.Env) error {
	enter := make(chan struct{})
	go func() { // ends with the input, or with this process
		defer close(enter)
		for s := bufio.NewScanner(env.Stdin); s.Scan(); {
			select {
			case enter <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for i, s := range chosen {
		played, err := play(ctx, []scenes.Scene{s}, o)
		if err != nil && (len(chosen) == 1 || !errors.Is(err, scenes.ErrUnsupported)) {
			return err
		}
		parts := played.Scenes[0].Parts(paintFor(env.Stdout, cli.Colour(env.Stdout)))
		for k, part := range parts {
			if _, err := io.WriteString(env.Stdout, part); err != nil {
				return fmt.Errorf("write the result: %w", err)
			}
			if i == len(chosen)-1 && k == len(parts)-1 {
				return nil
			}
			fmt.Fprint(env.Stderr, "\n[Enter] ")
			select {
			case <-enter: // at the end of the input, the rest follows at once
			case <-ctx.Done():
				return fmt.Errorf("%w in scene %s", cli.ErrInterrupted, s.Name)
			}
		}
	}
	return nil
}

func (p sceneResult) write(w io.Writer, format string, colour bool) error {
	if format == "json" {
		return cli.WriteJSON(w, p)
	}
	for i, s := range p.Scenes {
		if i > 0 {
			if _, err := io.WriteString(w, "\n\n"); err != nil {
				return err
			}
		}
		if err := s.WriteText(w, paintFor(w, colour)); err != nil {
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
		list = append(list, entry{s.Name, s.Title, s.Links, s.Unsupported})
	}
	if format == "json" {
		return cli.WriteJSON(w, list)
	}
	for _, e := range list {
		if e.Unable != "" {
			e.Title += " (not here: " + e.Unable + ")"
		}
		if _, err := io.WriteString(w, paintFor(w, false).Wrap(fmt.Sprintf("%-15s ", e.Name), strings.Repeat(" ", 16), e.Title)); err != nil {
			return err
		}
	}
	return nil
}
