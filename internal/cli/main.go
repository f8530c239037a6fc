// Package cli is what the commands share: how they start and end, how they
// take flags, and how they speak to a person and to a program.
//
// # Exit status
//
// 0 done, 1 failed, 2 mistyped, 3 found what was asked about. Nothing else in the project calls os.Exit.
//
// # Errors
//
// "name: what happened", lower case, no full stop; then, where there is one,
// "name: hint: what to type".
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// An Env is the world a command is given. Tests give it buffers.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// A Func is a command, or a subcommand.
type Func func(ctx context.Context, args []string, env Env) error

// Main runs a command and ends the process. It prints the command's error with
// the hints that hint knows, which may be nil. The first Ctrl-C or SIGTERM
// cancels the context, so that the command finishes what it has in hand; the
// second meets the system's default and kills.
func Main(name string, run Func, hint HintFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	env := Env{os.Stdin, os.Stdout, os.Stderr}
	os.Exit(Status(name, env, run(ctx, os.Args[1:], env), hint))
}

// Status prints the error of a command with its hints, and returns the exit
// status. For a nil error it prints nothing and returns 0.
func Status(name string, env Env, err error, hint HintFunc) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, ErrFound) {
		return 3
	}
	if !errors.Is(err, ErrFailed) {
		fmt.Fprintf(env.Stderr, "%s: %v\n", name, err)
	}
	for _, hint := range hints(err, hint) {
		fmt.Fprintf(env.Stderr, "%s: hint: %s\n", name, hint)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// Invocation returns how the user can start one of the commands, judged by how
// this process was started: by go run, by a path, or by its name.
func Invocation(command string) string {
	self, err := os.Executable()
	return invocation(command, os.Args[0], self, err == nil)
}

func invocation(command, typed, self string, known bool) string {
	switch {
	case known && strings.Contains(filepath.ToSlash(self), "/go-build"):
		return "go run ./" + command
	case strings.ContainsRune(typed, filepath.Separator):
		return typed[:strings.LastIndexByte(typed, filepath.Separator)+1] + command + filepath.Ext(typed)
	}
	return command
}

// Subcommands: the first word after the command's name.

// A Command is a subcommand. Where its name is "", it is what the command
// does when its first word is no subcommand's.
type Command struct {
	Name string
	Run  Func
	// Ours: it is for the command's own processes, and no one is told of it.
	Ours bool
}

// Dispatch makes a command of subcommands. A first argument that is a word
// must be one of them.
func Dispatch(commands ...Command) Func {
	return func(ctx context.Context, args []string, env Env) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		i := slices.IndexFunc(commands, func(c Command) bool { return c.Name != "" && c.Name == name })
		if i >= 0 {
			return commands[i].Run(ctx, args[1:], env)
		}
		i = slices.IndexFunc(commands, func(c Command) bool { return c.Name == "" })
		if i >= 0 && (name == "" || strings.HasPrefix(name, "-")) {
			return commands[i].Run(ctx, args, env)
		}
		return Usagef("one of: "+names(commands), "there is no subcommand %q", name)
	}
}

func names(commands []Command) string {
	var n []string
	for _, c := range commands {
		if c.Name != "" && !c.Ours {
			n = append(n, c.Name)
		}
	}
	return strings.Join(n, ", ")
}

// Errors that carry what to do about them.

// ErrInterrupted ends a command with status 1 because it was told to stop
// before it was done. Wrap it to say how to go on.
var ErrInterrupted = errors.New("interrupted")

// ErrFailed ends a command with status 1 without a line of its own: its result
// on stdout already says what is wrong.
var ErrFailed = errors.New("failed")

// ErrFound ends a command with status 3: it was asked whether there is something,
// and there is. Its result on stdout says what.
var ErrFound = errors.New("found")

type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Usagef is the error of a mistyped command: exit status 2.
func Usagef(hint, format string, a ...any) error {
	return WithHint(&usageError{fmt.Sprintf(format, a...)}, hint)
}

// WithHint adds what to type to an error. An empty hint adds nothing.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hintError{err, hint}
}

// A HintFunc returns what the user can type about an error of a package below
// the commands, or "". It is called for each error of a tree, wrapped ones too.
// So a switch over types is enough.
type HintFunc func(error) string

// hints returns every hint for the errors of a tree, outermost first.
func hints(err error, hint HintFunc) []string {
	var found []string
	var walk func(error)
	walk = func(err error) {
		if h, ok := err.(*hintError); ok {
			found = append(found, h.hint)
		} else if hint != nil {
			if text := hint(err); text != "" {
				found = append(found, text)
			}
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				walk(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	return found
}
