package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsTransient reports whether a retry of the same work may succeed: the
// database is locked (SQLITE_BUSY in any form), or the disk is full.
func IsTransient(err error) bool {
	if _, ok := errors.AsType[*WALRemovedError](err); ok {
		return false
	}
	return primaryCode(err) == sqlite3.SQLITE_BUSY || IsFull(err)
}

// IsFull reports whether the disk of the database is full. A connection that is opened
// on a full disk has no room for its -shm, and SQLite calls that an I/O error.
func IsFull(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// primaryCode returns SQLite's result code without its extension, or 0 if err
// is not an error of SQLite.
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// openError returns the error of opening a database. It is a *ForeignError instead of
// SQLITE_NOTADB, and a [*fs.PathError] for a file that this process may not use.
func openError(path string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok:
		return err
	case e.Code()&0xff == sqlite3.SQLITE_NOTADB:
		return foreign(path, "is not a SQLite database")
	case e.Code() == sqlite3.SQLITE_READONLY_DIRECTORY:
		return &fs.PathError{Op: "create", Path: path + "-wal", Err: fs.ErrPermission}
	case e.Code() == sqlite3.SQLITE_READONLY && onReadOnlyDisk(path):
		return &fs.PathError{Op: "open", Path: path, Err: errReadOnlyDisk}
	case e.Code() == sqlite3.SQLITE_READONLY:
		return &fs.PathError{Op: "open", Path: cmp.Or(deniedFile(path, true), path), Err: fs.ErrPermission}
	case e.Code()&0xff == sqlite3.SQLITE_CANTOPEN && deniedFile(path, false) != "":
		return &fs.PathError{Op: "open", Path: deniedFile(path, false), Err: fs.ErrPermission}
	}
	return err
}

var errReadOnlyDisk = errors.New("the file system is read-only")

// A ForeignError is a file that is not a database of turnstile.
type ForeignError struct {
	Path, Problem string
}

func (e *ForeignError) Error() string { return e.Path + " " + e.Problem }

func foreign(path, problem string) error { return &ForeignError{Path: path, Problem: problem} }

// A VersionError is a database of a newer turnstile.
type VersionError struct {
	Path    string
	Version int // of the database
	Known   int // the newest version that this program knows
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has schema version %d, and this program knows versions up to %d", e.Path, e.Version, e.Known)
}

// A NetworkError is a database on a network file system. WAL needs memory that
// all its users share, and machines share none.
type NetworkError struct{ Path, System string }

func (e *NetworkError) Error() string {
	return e.Path + " is on a network file system (" + e.System + "), where WAL is not safe"
}

// A FolderError is a path of a database that is a folder.
type FolderError struct{ Path string }

func (e *FolderError) Error() string { return e.Path + " is a folder, not a database" }

// A SpecialFileError is a path of a database that is a named pipe, a device or
// a socket.
type SpecialFileError struct{ Path, Kind string }

func (e *SpecialFileError) Error() string {
	return e.Path + " is a " + e.Kind + ", not a database"
}

// A LinkedError is a database with several hard links. Each of them would have
// a lock and a WAL of its own.
type LinkedError struct {
	Path  string
	Links int
}

func (e *LinkedError) Error() string {
	return fmt.Sprintf("%s has %d hard links, and writers by different names would not see each other", e.Path, e.Links)
}

// A MountedError is a database that is itself a mount point. The same file at
// its other path would have a lock and a WAL of its own.
type MountedError struct{ Path string }

func (e *MountedError) Error() string {
	return e.Path + " is itself a mount point, and writers by its other path would not see each other"
}

// A TriggerError says that triggers of the user made a write transaction fail.
type TriggerError struct {
	Triggers []string // all triggers of the database, each as "NAME on TABLE"
	Err      error
}

func (e *TriggerError) Error() string { return e.Err.Error() }

func (e *TriggerError) Unwrap() error { return e.Err }

// An AbsentError is a path without a database.
type AbsentError struct{ Path string }

func (e *AbsentError) Error() string { return "there is no database " + e.Path }

// A SourceError says that a database has no data set of that name.
type SourceError struct {
	Path, Name string
	Known      []string // the data sets of the database, the newest first
}

func (e *SourceError) Error() string {
	return "there is no data set " + e.Name + " in " + e.Path
}

// A MovedError says that the database was removed, renamed or replaced while it
// was open. Rows written since then are where nobody looks for them.
type MovedError struct{ Path string }

func (e *MovedError) Error() string {
	return e.Path + " was removed or replaced while it was open"
}

// A WALRemovedError says that the file -wal of the database was removed or
// replaced while the database was open. The rows of the last batch are not to
// be confirmed. All rows are saved, unless Err is not nil.
type WALRemovedError struct {
	Path string
	Copy string // a new database with all rows; "": they are in the database itself
	Err  error  // why the rows could not be saved
}

func (e *WALRemovedError) Error() string {
	what := e.Path + "-wal was removed or replaced while the database was open; "
	switch {
	case e.Err != nil:
		return what + "its rows could not be saved: " + e.Err.Error()
	case e.Copy != "":
		return what + "all rows are saved in " + e.Copy
	}
	return what + "all rows are saved in the database"
}

func (e *WALRemovedError) Unwrap() error { return e.Err }

// A PinnedWALError is a warning: a reader prevents the checkpoint of a WAL that
// has become large.
type PinnedWALError struct {
	Path  string
	Bytes int64 // of the WAL
}

func (e *PinnedWALError) Error() string {
	return fmt.Sprintf("a reader keeps the WAL of %s from shrinking: %d bytes", e.Path, e.Bytes)
}

// A RefusedError is a warning: a constraint or a trigger refused a ride. It is
// the first one of its source.
type RefusedError struct {
	Source   string
	Line     int64
	Triggers []string // all triggers of the database, each as "NAME on TABLE"
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s:%d is refused by the table; it becomes a reject, as do others of this source", e.Source, e.Line)
}

// A DiffersError is a warning: a ride differs from the one stored at its line.
// It is the first one of its source.
type DiffersError struct {
	Source string
	Line   int64
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("%s:%d differs from the stored row; it becomes a reject, as do others of this source", e.Source, e.Line)
}
