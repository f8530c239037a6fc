// Package cli is shared by the commands: start and exit, flags, help, hints, log,
// results and progress.
//
// # Exit status
//
// 0 success, 1 failure, 2 usage error, 3 a check has findings. Only Main calls
// os.Exit.
//
// # Errors
//
// An error is one line, "name: error", lower case, without a period. A second line
// may follow: "name: hint: what to type".
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// An Env holds the standard streams of a command. Tests use buffers.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// A Func is a command, or a subcommand.
type Func func(ctx context.Context, args []string, env Env) error

// Main runs a command and exits. It prints the error of the command, with hints from
// hint, which may be nil. The first SIGINT or SIGTERM cancels the context, and the
// command shuts down in order. The second one kills the process.
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
		fmt.Fprintf(env.Stderr, "%s: hint: %s\n", name, Typeable(hint))
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// Invocation returns how the user can start one of the commands, judged by how
// this process was started: by go run, by a path, by its name, or in a container,
// whose image sets TURNSTILE_RUN.
func Invocation(command string) string {
	if run := os.Getenv("TURNSTILE_RUN"); run != "" {
		if command == "contention" {
			command = "lab" // the service in docker-compose.yml
		}
		return run + " " + command
	}
	self, err := os.Executable()
	return invocation(command, os.Args[0], self, err == nil)
}

// commands are the commands in a hint: a name, then a subcommand, a flag or a file.
var commands = regexp.MustCompile(`(^|[^\w./-])(broker|producer|consumer|contention)( (?:healthcheck|init|credentials|load|verify|rejects|query|page|watch|report|scene|about)\b| -| FILE)`)

// Typeable returns a hint with each command as the user can type it: consumer load
// becomes go run ./consumer load where this process was started that way.
func Typeable(hint string) string {
	return commands.ReplaceAllStringFunc(hint, func(found string) string {
		m := commands.FindStringSubmatch(found)
		return m[1] + Invocation(m[2]) + m[3]
	})
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

// Subcommands.

// A Command is a subcommand. The one with the name "" runs if the first argument is
// a flag or absent.
type Command struct {
	Name   string
	Run    Func
	Hidden bool // for child processes; no message lists it
}

// Dispatch returns a command that runs the subcommand named by its first argument.
// An unknown name is a usage error.
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
		return Usagef("use one of: "+commandNames(commands), "unknown subcommand %q", name)
	}
}

// commandNames lists the subcommands for a hint.
func commandNames(commands []Command) string {
	var names []string
	for _, c := range commands {
		if c.Name != "" && !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Errors and hints.

// ErrInterrupted is the error of a command that was interrupted before it was done:
// exit status 1. Wrap it to add how to resume.
var ErrInterrupted = errors.New("interrupted")

// ErrFailed is the error of a command whose result on stdout reports the failure:
// exit status 1, no error line.
var ErrFailed = errors.New("failed")

// ErrFound is the error of a check with findings, which its result on stdout lists:
// exit status 3, no error line.
var ErrFound = errors.New("found")

// A usageError is an invalid command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

// A hintError is an error with a hint.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Usagef returns the error of an invalid command line: exit status 2.
func Usagef(hint, format string, a ...any) error {
	return WithHint(&usageError{fmt.Sprintf(format, a...)}, hint)
}

// WithHint adds a hint to an error: a command or a setting to type. An empty hint
// adds nothing.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hintError{err, hint}
}

// A HintFunc returns a command or a setting that the user can type about an error,
// or "". It is called for each error of a tree, wrapped ones too. A switch over
// types suffices.
type HintFunc func(error) string

// hints returns the hints for all errors of a tree, outermost first.
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
