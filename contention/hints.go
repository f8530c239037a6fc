package main

// What a user can type about an error.

import (
	"errors"
	"io/fs"
	"strings"

	"turnstile/internal/lab/report"
	"turnstile/internal/locks"
	"turnstile/internal/web"
)

func hint(err error) string {
	if e, ok := err.(*web.AddressError); ok {
		return pageHints[e.Problem]
	}
	if _, ok := err.(*report.VersionError); ok {
		return "read it with the version of contention that wrote it, or a newer one"
	}
	return ""
}

// watchHint returns the hint for an error of watch, which depends on the file
// it was asked about.
func watchHint(file string, err error) string {
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if base, ok := strings.CutSuffix(file, end); ok {
			return "name the database itself: contention watch " + base
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name the file that your program opens; if watch runs in a container, use the path inside that container"
	case errors.Is(err, locks.ErrNotDatabase):
		return "an encrypted file is not recognized either"
	case errors.Is(err, fs.ErrPermission):
		return "run it as the owner of the file, or as root"
	}
	return ""
}
