package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	largeWAL        = 256 << 20 // bytes; SQLite checkpoints at 4 MB unless a reader prevents it
	walWarningEvery = 10 * time.Second
	// checkpointWait is how long a checkpoint waits for readers. It is short,
	// because rows that arrive meanwhile wait as well.
	checkpointWait = 100 * time.Millisecond
)

// Idle checkpoints the WAL and truncates it. A reader that prevents this is no
// error: the next call tries again.
func (d *DB) Idle(ctx context.Context) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	if d.open.wal != nil {
		if err := d.checkFiles(ctx); err != nil {
			return err
		}
	}
	if err := d.truncateWAL(ctx); err != nil {
		return errors.Join(fmt.Errorf("store: checkpoint: %w", err), d.disconnect())
	}
	return nil
}

func (d *DB) truncateWAL(ctx context.Context) error {
	if err := d.setBusyTimeout(ctx, checkpointWait); err != nil {
		return err
	}
	frames, checkpointed, err := d.checkpoint(ctx, "TRUNCATE")
	if err == nil && frames != checkpointed {
		d.Log.Debug("a reader prevents the truncation of the WAL", "frames", frames, "checkpointed", checkpointed)
	}
	return errors.Join(err, d.setBusyTimeout(ctx, d.BusyTimeout))
}

func (d *DB) setBusyTimeout(ctx context.Context, t time.Duration) error {
	_, err := d.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", t.Milliseconds()))
	return err
}

// checkpoint moves frames of the WAL into the database, as many as readers
// allow. SQLite reports a reader that prevents more in a column of the result,
// not as an error.
func (d *DB) checkpoint(ctx context.Context, mode string) (frames, checkpointed int, err error) {
	var busy int
	err = d.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &checkpointed)
	return frames, checkpointed, err
}

// warnOfLargeWAL warns if a reader makes the WAL grow. The size of the file
// alone does not show this: SQLite reuses a WAL from its start without
// truncating it.
func (d *DB) warnOfLargeWAL(ctx context.Context) error {
	wal, err := os.Stat(d.path + "-wal")
	if err != nil || wal.Size() < d.largeWAL || time.Since(d.walWarned) < walWarningEvery {
		return nil // a missing WAL is no large one
	}
	d.walWarned = time.Now()
	frames, checkpointed, err := d.checkpoint(ctx, "PASSIVE")
	if err != nil {
		return fmt.Errorf("store: checkpoint: %w", err)
	}
	if checkpointed < frames {
		d.Warn(&PinnedWALError{d.path, wal.Size()})
	}
	return nil
}
