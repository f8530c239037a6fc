package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"turnstile/internal/store"
)

// hint returns what to type or to do about an error or a warning of a package
// below, or "".
func hint(err error) string {
	if _, ok := errors.AsType[*store.ForeignError](err); ok {
		return "another file: --db FILE"
	}
	if _, ok := errors.AsType[*store.VersionError](err); ok {
		return "use the newer turnstile that wrote it, or another file: --db FILE"
	}
	if _, ok := errors.AsType[*store.NetworkError](err); ok {
		return "a file on a disk of this machine: --db FILE"
	}
	if e, ok := errors.AsType[*store.FolderError](err); ok {
		return "--db " + filepath.Join(e.Path, "turnstile.db")
	}
	if _, ok := errors.AsType[*store.AbsentError](err); ok {
		return "create it: consumer load FILE; or name another: --db FILE"
	}
	if _, ok := errors.AsType[*store.MovedError](err); ok {
		return "start again: rows that were not acknowledged are still in the queue"
	}
	if e, ok := errors.AsType[*store.WALRemovedError](err); ok {
		switch {
		case e.Err != nil:
			return "keep the files of the database as they are, and verify your files: consumer verify FILE"
		case e.Copy != "":
			return fmt.Sprintf("end what else uses the database, then: mv %s %s; and start again", e.Copy, e.Path)
		}
		return "start again; never remove -wal or -shm while a program has the database open"
	}
	if e, ok := errors.AsType[*store.PinnedWALError](err); ok {
		return "which process it is: contention watch " + e.Path
	}
	if _, ok := errors.AsType[*store.DiffersError](err); ok {
		return "another data set needs a name of its own: --source NAME"
	}
	return ""
}
