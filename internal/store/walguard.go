package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// openWAL identifies the files -wal and -shm that a connection has open. If
// one of them is removed, committed rows exist only until the connection ends:
// after a crash they are gone, although they were confirmed.
type openWAL struct{ wal, shm os.FileInfo }

// identifyWAL notes the files of the connection. It is called after a
// transaction, which has opened them.
func (d *DB) identifyWAL() error {
	for _, f := range []struct {
		path string
		info *os.FileInfo
	}{{d.realPath + "-wal", &d.open.wal}, {d.realPath + "-shm", &d.open.shm}} {
		info, err := statOpenFile(f.path)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		*f.info = info
	}
	return nil
}

// checkFiles returns an error if the rows of the connection would not survive
// its end, or would not be found at the path of the database. It is called
// after each commit, before the caller can confirm it.
func (d *DB) checkFiles(ctx context.Context) error {
	if file, err := os.Stat(d.path); err != nil || !os.SameFile(file, d.file) {
		return &MovedError{d.path}
	}
	if d.open.wal == nil {
		if err := d.identifyWAL(); err != nil {
			return err
		}
	}
	if atPath(d.path+"-wal", d.open.wal) {
		return nil
	}
	return d.rescue(ctx)
}

// atPath reports whether a file that is open is still the one at its path.
func atPath(path string, open os.FileInfo) bool {
	file, err := os.Stat(path)
	return err == nil && os.SameFile(file, open)
}

// rescue saves the rows of a WAL that is no longer at its path, and returns a
// [*WALRemovedError]. The DB can no longer be used but for Close.
func (d *DB) rescue(ctx context.Context) error {
	d.abandoned = true
	ctx = context.WithoutCancel(ctx)
	lost := &WALRemovedError{Path: d.path}
	_, err := os.Stat(d.path + "-wal")
	if errors.Is(err, os.ErrNotExist) && atPath(d.path+"-shm", d.open.shm) {
		frames, checkpointed, err := d.checkpoint(ctx, "FULL")
		if err == nil && frames == checkpointed {
			return lost
		}
	}
	// Another program has opened the database since, with files of its own. A
	// checkpoint would now overwrite its pages. A copy cannot.
	lost.Copy = d.path + ".saved-" + time.Now().UTC().Format("20060102-150405.000")
	lost.Err = d.saveCopy(ctx, lost.Copy)
	return lost
}

// saveCopy writes all that the connection sees to a new database.
func (d *DB) saveCopy(ctx context.Context, path string) error {
	if _, err := d.conn.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("store: save %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: save %s: %w", path, err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("store: save %s: %w", path, err)
	}
	return nil
}
