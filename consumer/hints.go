package main

// What a user can type about an error or a warning.

import (
	"fmt"
	"path/filepath"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/store"
	"turnstile/internal/stream"
	"turnstile/internal/web"
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
			return fmt.Sprintf("stop all other programs that use the database, then: mv %s %s; and start again", e.Copy, e.Path)
		}
		return "start again; never remove -wal or -shm while a program has the database open"
	case *store.PinnedWALError:
		return "find the process: contention watch " + e.Path
	case *store.DiffersError:
		return "if the file is another data set, give it another name: --source NAME"
	case *busyError:
		return fmt.Sprintf("stop it (Ctrl-C, or kill -INT %d), and try again; rows wait in the queue meanwhile", e.holder.PID)
	case *store.NoRejectError:
		if e.Others > 0 {
			return "correct the line in the file, in place, and send the file again"
		}
		return "list them: consumer rejects"
	case *store.AcceptError:
		return "nothing was changed; accept the others one by one: --accept SOURCE:LINE"
	case *store.QueryError:
		switch {
		case e.ReadOnly:
			return "consumer query only reads; a row is changed by sending its file again"
		case e.Several:
			return "run consumer query once for each statement"
		case e.Unknown:
			return `the view ridership has all rows; its columns: consumer query "SELECT * FROM ridership LIMIT 1"`
		}
		return ""
	case *web.AddressError:
		return addressHints[e.Problem]
	case *stream.DatabaseError:
		if e.Copy {
			return "if it was moved, start once with --adopt; if it is a copy, do not: the rows would be split between the two"
		}
		return "write to that database with --db; if it is lost, take over its queue with --adopt, and resend the files that only it had stored"
	case *stream.LiveCopyError:
		return "stop one of the two, and keep the database that has all rows; or give each its own queue"
	case *stream.StaleError:
		return "use the current database, if this is an older copy or a restored backup; or take over with --adopt, and then resend the files whose rows are missing here"
	}
	if text := cli.FileHint(err); text != "" {
		return text
	}
	return cli.ServerHint(err)
}

// There is no login: who reaches the page sees it.
var addressHints = map[web.AddressProblem]string{
	web.BadAddress:   "use HOST:PORT, such as --http 127.0.0.1:8091",
	web.NotLoopback:  "use --http 127.0.0.1:8091; or, to let everybody in the network see the page, add --http-host with the name or address of this machine",
	web.CannotListen: "is a page already running? use another port: --http 127.0.0.1:0",
	web.BadHost:      "use a name or an address without a port, such as --http-host queue.example",
}

func triggerHint(triggers []string) string {
	if len(triggers) == 0 {
		return ""
	}
	return "a trigger in the database may refuse the row: " + strings.Join(triggers, ", ")
}
