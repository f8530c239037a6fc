package main

// What a user can type about an error.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
	"turnstile/internal/web"
)

func hint(err error) string {
	if e, ok := err.(*web.AddressError); ok {
		return pageHints[e.Problem]
	}
	switch err.(type) {
	case *report.VersionError:
		return "read it with the version of contention that wrote it, or a newer one"
	case *report.InconsistentError:
		return "somebody changed the file since contention wrote it, or another program wrote it"
	}
	return ""
}

// watchHint returns the hint for an error of watch, which depends on the file
// it was asked about.
func watchHint(file string, err error) string {
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if base, ok := strings.CutSuffix(file, end); ok {
			return "name the database itself: contention watch " + quoted(base)
		}
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return "name a database in this folder: contention watch " + quoted(databaseIn(file))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name the file that your program opens; if watch runs in a container, use the path inside that container"
	case errors.Is(err, locks.ErrNotDatabase):
		return "an encrypted file is not recognized either"
	}
	return ""
}

// databaseIn returns the first database of a folder, else a name as an example.
func databaseIn(dir string) string {
	entries, _ := os.ReadDir(dir) // none, if it cannot be read
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); e.Type().IsRegular() {
			if mode, err := locks.Mode(path); err == nil && mode != locks.Unknown {
				return path
			}
		}
	}
	return filepath.Join(dir, "app.db")
}

var plain = regexp.MustCompile(`^[\w./:@%+=,~\\-]+$`)

// quoted returns a file name as a shell takes it.
func quoted(file string) string {
	if plain.MatchString(file) {
		return file
	}
	return "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
}
