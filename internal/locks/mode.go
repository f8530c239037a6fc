package locks

// The journal mode, from the header of the file.

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The journal modes, as far as locks differ.
const (
	Rollback = "rollback" // DELETE, TRUNCATE, PERSIST, MEMORY, OFF
	WAL      = "wal"
	Unknown  = "unknown" // an empty file: SQLite has not written to it yet
)

// ErrNotDatabase is returned for a file that does not begin as SQLite's do.
var ErrNotDatabase = errors.New("not an SQLite database")

const magic = "SQLite format 3\x00"

// Mode reads the journal mode. It opens and closes the file: never call it in
// a process that has a connection to that database (see the package's doc).
func Mode(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return Unknown, fmt.Errorf("locks: %w", err)
	}
	defer f.Close() // only read
	var header [20]byte
	n, err := io.ReadFull(f, header[:])
	switch {
	case errors.Is(err, io.EOF):
		return Unknown, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Unknown, fmt.Errorf("locks: %w", err)
	case n < len(header) || string(header[:len(magic)]) != magic:
		return Unknown, fmt.Errorf("locks: %s: %w", path, ErrNotDatabase)
	case header[18] == 2:
		return WAL, nil
	}
	return Rollback, nil
}
