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
