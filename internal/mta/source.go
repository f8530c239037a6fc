// The name of a data set: half of a row's identity, so it is checked once,
// where it is made.

package mta

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Foreign is the source under which messages that are not ours are rejected.
// No data set may have this name.
const Foreign = "(foreign)"

const maxSource = 200 // bytes; it travels in a subject and in a header

// CheckSource says what is wrong with a data set's name, if anything.
func CheckSource(name string) error {
	problem := ""
	switch {
	case strings.TrimSpace(name) == "":
		problem = "is blank"
	case len(name) > maxSource:
		problem = fmt.Sprintf("has %d bytes, want %d at most", len(name), maxSource)
	case !utf8.ValidString(name):
		problem = "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		problem = "has a control character"
	case strings.TrimSpace(name) != name:
		problem = "begins or ends with a blank"
	case name == Foreign:
		problem = "is kept for messages that are not ours"
	default:
		return nil
	}
	return &FileError{
		Problem: fmt.Sprintf("the source name %q %s", shorten(name), problem),
		hint:    "give the data set a name with --source NAME",
	}
}

// sourceOf is the name a file has unless it is given another: simple enough to
// say in one sentence, so that no one is surprised.
func sourceOf(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".gz") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// A FileError is a file that can't be used, or can't be named. Its Hint says
// what to type.
type FileError struct {
	Path    string // "" where no file is involved
	Problem string
	hint    string
}

func (e *FileError) Error() string {
	if e.Path == "" {
		return "mta: " + e.Problem
	}
	return "mta: " + e.Path + ": " + e.Problem
}

// Hint says what to do about it.
func (e *FileError) Hint() string { return e.hint }

// shorten cuts a value to what fits into a sentence.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
