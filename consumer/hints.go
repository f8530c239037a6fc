package main

// What a user can type about an error or a warning.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"turnstile/internal/cli"
	"turnstile/internal/mta"
	"turnstile/internal/store"
	"turnstile/internal/stream"
	"turnstile/internal/web"
)

func hint(err error) string {
	for _, of := range []cli.HintFunc{databaseHint, rowHint, serverHint, cli.FileHint, cli.ServerHint} {
		if text := of(err); text != "" {
			return text
		}
	}
	return ""
}

// databaseHint is about the file of the database.
func databaseHint(err error) string {
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
		return "find the process: " + watchCommand(e.Path)
	case *busyError:
		return stopHint(e.holder) + ", and try again; rows wait in the queue meanwhile"
	}
	return ""
}

// rowHint is about rows, rejects and queries of them.
func rowHint(err error) string {
	switch e := err.(type) {
	case *store.TriggerError:
		return triggerHint(e.Triggers)
	case *store.RefusedError:
		return triggerHint(e.Triggers)
	case *store.SourceError:
		return sourceHint(e)
	case *store.DiffersError:
		return "if the file is another data set, give it another name: --source NAME"
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
			return "a query only reads; a row is changed by sending its file again"
		case e.Pragma:
			return `those that only read are tables, too: consumer query "SELECT * FROM pragma_table_info('ride')"`
		case e.Several:
			return "run one statement after the other"
		case e.Unknown:
			return `the view ridership has all rows; its columns: consumer query "SELECT * FROM ridership LIMIT 1"`
		}
	}
	return ""
}

// serverHint is about the queue's owner, and what this command serves.
func serverHint(err error) string {
	switch e := err.(type) {
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
	return ""
}

// transientHint returns what ends an error of the database that goes away by itself, or
// not.
func transientHint(path string) func(error) string {
	return func(err error) string {
		if store.IsFull(err) {
			return "the disk is full: free some space"
		}
		return "find the process that locks it: " + watchCommand(path)
	}
}

// watchCommand returns the command that names the processes that use a database. In a
// container of docker-compose it sees none of them: it needs the PIDs of the host, and
// the volumes of this container, whose id is its host name.
func watchCommand(path string) string {
	host, err := os.Hostname()
	full, absErr := filepath.Abs(path)
	if !cli.InContainer() || err != nil || absErr != nil {
		return "contention watch " + path
	}
	return "docker run --rm --pid=host --user 0 --cap-add SYS_PTRACE --volumes-from " + host +
		" --entrypoint contention turnstile watch " + full
}

// sourceHint names the data sets of the database.
func sourceHint(e *store.SourceError) string {
	if name, ok := mta.Nearest(e.Name, e.Known); ok {
		return "did you mean " + name + "?"
	}
	const most = 5
	switch n := len(e.Known); {
	case n == 0:
		return "nothing is stored there yet: consumer load FILE"
	case n > most:
		return "the newest data sets are: " + strings.Join(e.Known[:most], ", ")
	}
	return "the data sets are: " + strings.Join(e.Known, ", ")
}

// stopHint says how to stop the writer. The PID of another container or machine is of no
// use here.
func stopHint(h store.Holder) string {
	switch {
	case cli.InContainer():
		return "stop it: docker-compose stop " + cli.Service("consumer")
	case h.PID == 0:
		return "stop it"
	case !isHere(h):
		return "stop it on " + h.Host
	}
	return fmt.Sprintf("stop it (Ctrl-C, or kill -INT %d)", h.PID)
}

// Of consumer --http and consumer page. There is no login: who reaches the address sees
// what is served.
var addressHints = map[web.AddressProblem]string{
	web.BadAddress:   "use HOST:PORT, such as --http 127.0.0.1:0 for any free port",
	web.NotLoopback:  "use a port of 127.0.0.1; or, to let everybody in the network read what is served, add --http-host with the name or address of this machine",
	web.CannotListen: "does another process serve there already? use another port: --http 127.0.0.1:0",
	web.BadHost:      "use a name or an address without a port, such as --http-host queue.example",
}

func triggerHint(triggers []string) string {
	if len(triggers) == 0 {
		return ""
	}
	return "a trigger in the database may refuse the row: " + strings.Join(triggers, ", ")
}
