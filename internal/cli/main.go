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
// may follow: "name: hint: what to type". The packages below leave their name out of
// errors about what the user gave, such as a file or an address, because the user
// corrects it. The others begin with the package.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	os.Exit(Run(ctx, name, run, os.Args[1:], Env{os.Stdin, os.Stdout, os.Stderr}, hint))
}

// Run runs a command, prints its error, and returns its exit status.
func Run(ctx context.Context, name string, run Func, args []string, env Env, hint HintFunc) int {
	err := run(ctx, args, env)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, ErrInterrupted) {
		err = ErrInterrupted // by Ctrl-C, wherever that was
	}
	return Status(name, env, err, hint)
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
	var text strings.Builder
	if !errors.Is(err, ErrFailed) {
		fmt.Fprintf(&text, "%s: %v\n", name, err)
	}
	for _, hint := range hints(err, hint) {
		fmt.Fprintf(&text, "%s: hint: %s\n", name, Typeable(hint))
	}
	_ = WriteText(env.Stderr, text.String()) // the exit status still tells
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// runVariable is set in the image, to what starts a container of a service. If it ends
// in a hyphen, it is the beginning of the service's name, too.
const runVariable = "TURNSTILE_RUN"

// InContainer reports whether this process runs in a container of docker-compose.
func InContainer() bool { return os.Getenv(runVariable) != "" }

// Invocation returns how the user can start one of the commands, judged by how
// this process was started: by go run, by a path, by its name, or in a container,
// whose image sets TURNSTILE_RUN.
func Invocation(command string) string {
	if run := os.Getenv(runVariable); run != "" {
		if command == "contention" {
			command = "lab" // the service in docker-compose.yml
		}
		if strings.HasSuffix(run, "-") {
			return run + command
		}
		return run + " " + command
	}
	self, err := os.Executable()
	return invocation(command, os.Args[0], self, err == nil)
}

// commands are the commands in a hint: a name, then a subcommand, a flag or a file.
var commands = regexp.MustCompile(`(^|[^\w./-])(broker|producer|consumer|contention)( (?:healthcheck|init|credentials|load|verify|rejects|query|page|watch|report|scene|about)\b| -| FILE)`)

// Service returns the name of the service of docker-compose that runs a command, in
// the project of this container.
func Service(command string) string {
	words := strings.Fields(Invocation(command))
	return words[len(words)-1]
}

// Typeable returns a hint with each command as the user can type it: consumer load
// becomes go run ./consumer load where this process was started that way. A command
// gets the database and the broker that the user gave to this one.
func Typeable(hint string) string {
	return commands.ReplaceAllStringFunc(hint, func(found string) string {
		m := commands.FindStringSubmatch(found)
		subcommand, next := m[3], ""
		if m[3] == " -" || m[3] == " FILE" {
			subcommand, next = "", m[3]
		}
		return m[1] + Invocation(m[2]) + subcommand + givenFlags(m[2]+subcommand) + next
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

// hints returns the hints for all errors of a tree, outermost first. For a file that
// this process may not use there is one hint, whatever the file is for.
func hints(err error, hint HintFunc) []string {
	var found []string
	var walk func(error)
	walk = func(err error) {
		if h, ok := err.(*hintError); ok {
			found = append(found, h.hint)
		} else if path, ok := err.(*fs.PathError); ok && errors.Is(path, fs.ErrPermission) {
			found = append(found, accessHint(path)...)
		} else if hint != nil && !isDenied(err) {
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
