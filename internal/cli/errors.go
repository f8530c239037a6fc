package cli

// Errors that carry what to do about them.

import (
	"errors"
	"fmt"
)

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
