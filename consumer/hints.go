package main

// What a user can type about an error or a warning.

import (
	"fmt"
	"path/filepath"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/store"
	"turnstile/internal/stream"
)

func hint(err error) string {
	switch e := err.(type) {
	case *store.ForeignError:
		return "use another file: --db FILE"
	case *store.VersionError:
		return "use the newer turnstile that wrote it, or another file: --db FILE"
	case *store.NetworkError:
		return "use a file on a local disk: --db FILE"
	case *store.FolderError:
		return "--db " + filepath.Join(e.Path, "turnstile.db")
	case *store.SpecialFileError:
		return "use a regular file: --db FILE"
	case *store.LinkedError:
		return fmt.Sprintf("find the other names with: find / -xdev -samefile %s; and remove all but one", e.Path)
	case *store.MountedError:
		return "mount the folder of the database, not the file"
	case *store.TriggerError:
		return triggerHint(e.Triggers)
	case *store.RefusedError:
		return triggerHint(e.Triggers)
	case *store.AbsentError:
		return "create it: consumer load FILE; or name another: --db FILE"
	case *store.MovedError:
		return "start again: rows that were not acknowledged are still in the queue"
	case *store.WALRemovedError:
		switch {
		case e.Err != nil:
			return "keep the files of the database as they are, and verify your files: consumer verify FILE"
		case e.Copy != "":
			return fmt.Sprintf("end what else uses the database, then: mv %s %s; and start again", e.Copy, e.Path)
		}
		return "start again; never remove -wal or -shm while a program has the database open"
	case *store.PinnedWALError:
		return "find the process: contention watch " + e.Path
	case *store.DiffersError:
		return "another data set needs a name of its own: --source NAME"
	case *stream.DatabaseError:
		if e.Copy {
			return "if it was moved, say so once with --adopt; a copy that takes a part of the rows would leave the other without them"
		}
		return "write to that database with --db; if it is lost for good, take over its queue with --adopt, and send again what only it had"
	case *stream.LiveCopyError:
		return "stop one of the two, and keep the database that has all rows; or give each a queue of its own"
	case *stream.StaleError:
		return "use the current database, if this is an older copy or a restored backup; or take over with --adopt, and then send again what this one lacks"
	}
	if text := cli.FileHint(err); text != "" {
		return text
	}
	return cli.ServerHint(err)
}

func triggerHint(triggers []string) string {
	if len(triggers) == 0 {
		return ""
	}
	return "a trigger of yours may refuse it: " + strings.Join(triggers, ", ")
}
