package natsd

// A disk that is full or fails. After one failed write, nats-server refuses every
// write to the stream, purges included, until it is restarted. So a queue on a full
// disk could not even be emptied. Two measures keep it going:
//
//   - Maintain limits the stream to what the disk can hold, less a margin.
//   - If another program fills the disk all the same, the broker removes its
//     reserve file and restarts the server. Rows are then refused, as by a full
//     queue, and the consumer can store and purge those that are there.

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"turnstile/internal/disk"
)

const (
	// reserveSize bytes are enough for a server to start, load its store and
	// purge.
	reserveSize      = 4 << 20
	diskPollInterval = time.Second
	maxMargin        = 64 << 20
)

// Room returns how many bytes the queue may still grow. It is negative when the
// disk has less free space than the margin, which is 64 MiB, or a quarter of a small
// disk. The margin covers what other programs write within a second, the server's
// own files, and a partly purged block.
func (s *Server) Room() (int64, error) {
	free, total, err := disk.Space(s.store)
	if err != nil {
		return 0, &StoreError{s.store, err}
	}
	return free - margin(total), nil
}

func margin(total int64) int64 { return min(maxMargin, total/4) }

func (s *Server) reserve() string { return filepath.Join(s.store, "turnstile.reserve") }

// keepReserve creates the reserve file, if it is missing and there is room.
func (s *Server) keepReserve() error {
	if !s.maintained() {
		return nil // without a limit, producers would fill the space at once
	}
	if _, err := os.Stat(s.reserve()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if room, err := s.Room(); err != nil || room < reserveSize {
		return err
	}
	return writeRandom(s.reserve(), reserveSize)
}

// recoverStore makes room for the server's own files, or waits for it, and
// restarts the server.
func (s *Server) recoverStore(ctx context.Context, cause error) error {
	log := s.config.Log.With("store", s.store)
	switch err := os.Remove(s.reserve()); {
	case err == nil:
		log.Error("disk write failed: the queue takes no rows until there is space; the consumer can still empty it", "error", cause)
	case !errors.Is(err, fs.ErrNotExist):
		return &StoreError{s.store, err}
	default:
		log.Error("disk write failed: the queue stands still until the disk accepts writes", "error", cause)
		if !waitWritable(ctx, s.store, log) {
			return nil
		}
		log.Info("the disk accepts writes again")
	}
	if err := s.restart(); err != nil {
		return err
	}
	log.Info("the queue is open again")
	return nil
}

// waitWritable waits until the disk accepts writes. It returns false if ctx ended
// before.
func waitWritable(ctx context.Context, store string, log *slog.Logger) bool {
	for {
		err := checkWritable(store, reserveSize)
		if err == nil {
			return true
		}
		log.Debug("the disk still rejects writes", "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(diskPollInterval):
		}
	}
}

// syncMetadata syncs what makes the files of a stream that stream: its name, settings and
// time of creation. With a sync interval the server never does. After a power cut it would
// not find the stream, and a new one with the old messages would take its place, to which
// no database belongs.
func (s *Server) syncMetadata() error {
	if s.config.Sync <= 0 { // with 0 the server syncs all it writes
		return nil
	}
	files, err := filepath.Glob(filepath.Join(s.store, "jetstream", "*", "streams", "*", "meta.*"))
	for _, name := range files {
		err = errors.Join(err, syncFile(name))
	}
	return err
}

// syncFile syncs a file that may be removed or replaced meanwhile.
func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0) // Windows can't sync what is read-only
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// freeReserve removes the reserve of a broker that was killed, if the disk is too
// full to start without it.
func freeReserve(store string) error {
	free, _, err := disk.Space(store)
	if err == nil && free < reserveSize {
		err = os.Remove(filepath.Join(store, "turnstile.reserve"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &StoreError{store, err}
	}
	return nil
}

// checkWritable writes size bytes to a new file, and removes it. A lock is not
// enough: an existing lock file can be locked in a read-only directory.
func checkWritable(store string, size int) error {
	f, err := os.CreateTemp(store, "turnstile-probe-*")
	if err != nil {
		return err
	}
	err = f.Close()
	if err == nil && size > 0 {
		err = writeRandom(f.Name(), size)
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// writeRandom writes a file of random bytes and syncs it. A file system may
// compress zeros. After an error there is no file.
func writeRandom(name string, size int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	data := make([]byte, size)
	_, err = rand.Read(data)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// isWriteError reports whether err means that the disk is full, failing or
// read-only.
func isWriteError(err error) bool {
	const windowsDiskFull = 112
	number, ok := errors.AsType[syscall.Errno](err)
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) ||
		ok && runtime.GOOS == "windows" && number == windowsDiskFull
}
