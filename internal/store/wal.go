package store

// The write-ahead log: folded into the database when there is time, and
// watched for readers that keep it from shrinking.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	largeWAL  = 256 << 20        // bytes; SQLite folds it at 4 MB if no reader is in the way
	warnEvery = 10 * time.Second // of a large WAL
	// checkpointWait is how long readers may delay a checkpoint. It is short:
	// rows that come meanwhile wait as well.
	checkpointWait = 100 * time.Millisecond
)

// Idle folds the WAL into the database and empties it, unless a reader is in
// the way, which is no error: the next time does it.
func (d *DB) Idle(ctx context.Context) error {
	if err := d.connected(ctx); err != nil {
		return err
	}
	if err := d.empty(ctx); err != nil {
		return errors.Join(fmt.Errorf("store: checkpoint: %w", err), d.reset())
	}
	return nil
}

func (d *DB) empty(ctx context.Context) error {
	if err := d.setBusyTimeout(ctx, checkpointWait); err != nil {
		return err
	}
	frames, folded, err := d.checkpoint(ctx, "TRUNCATE")
	if err == nil && frames != folded {
		d.log.Debug("a reader keeps the WAL from being emptied", "frames", frames, "folded", folded)
	}
	return errors.Join(err, d.setBusyTimeout(ctx, d.busyTimeout))
}

func (d *DB) setBusyTimeout(ctx context.Context, t time.Duration) error {
	_, err := d.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", t.Milliseconds()))
	return err
}

// checkpoint folds what it can. That a reader was in the way stands in a
// column of the answer; it is no error of SQLite's.
func (d *DB) checkpoint(ctx context.Context, mode string) (frames, folded int, err error) {
	var busy int
	err = d.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &folded)
	return frames, folded, err
}

// watchWAL warns of a WAL that a reader lets grow. Its size alone does not
// tell: the file stays as large as it once was until there is time to empty
// it, also when its beginning has long been used again.
func (d *DB) watchWAL(ctx context.Context) error {
	wal, err := os.Stat(d.path + "-wal")
	if err != nil || wal.Size() < d.largeWAL || time.Since(d.watchedWAL) < warnEvery {
		return nil // no WAL is no trouble
	}
	d.watchedWAL = time.Now()
	frames, folded, err := d.checkpoint(ctx, "PASSIVE")
	if err != nil {
		return fmt.Errorf("store: checkpoint: %w", err)
	}
	if folded < frames {
		d.log.Warn("a reader keeps the WAL from shrinking", "bytes", wal.Size(), "hint", "who it is: contention watch "+d.path)
	}
	return nil
}
