//go:build linux

package powercut

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// sector is the unit that a disk writes as a whole, in bytes.
const sector = 512

// A file has changes that are not durable, the oldest first. The number of the
// first one counts those that became durable before.
type file struct {
	fd      *os.File
	first   int
	changes []change
}

// A change is a write of data at offset, or a truncation to offset if data is
// nil.
type change struct {
	offset int64
	data   []byte
	before int64  // the size of the file
	old    []byte // what was at offset, as far as the file went
}

func (f *file) size() (int64, error) {
	info, err := f.fd.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// record adds a change that is about to be made.
func (f *file) record(offset int64, data []byte) error {
	size, err := f.size()
	if err != nil {
		return err
	}
	c := change{offset: offset, data: slices.Clone(data), before: size}
	overwritten := size - offset // by a truncation: all that follows
	if data != nil {
		overwritten = min(overwritten, int64(len(data)))
	}
	if overwritten > 0 {
		c.old = make([]byte, overwritten)
		if n, err := f.fd.ReadAt(c.old, offset); err != nil && (!errors.Is(err, io.EOF) || n < len(c.old)) {
			return err
		}
	}
	f.changes = append(f.changes, c)
	return nil
}

// revert takes back all changes.
func (f *file) revert() error {
	for _, c := range slices.Backward(f.changes) {
		if err := f.fd.Truncate(c.before); err != nil {
			return err
		}
		if _, err := f.fd.WriteAt(c.old, c.offset); err != nil {
			return err
		}
	}
	return nil
}

// keepSome makes a random part of the changes again: of a third of the files
// none, of a third nearly all, of a third any share.
func (f *file) keepSome(rng *rand.Rand) error {
	share := [...]float64{0, 0.95, rng.Float64()}[rng.IntN(3)]
	for _, c := range f.changes {
		if c.data == nil {
			if rng.Float64() < share {
				if err := f.fd.Truncate(c.offset); err != nil {
					return err
				}
			}
			continue
		}
		for from := int64(0); from < int64(len(c.data)); {
			at := c.offset + from
			to := min(from+sector-at%sector, int64(len(c.data)))
			if rng.Float64() < share {
				if _, err := f.fd.WriteAt(c.data[from:to], at); err != nil {
					return err
				}
			}
			from = to
		}
	}
	return nil
}

// write writes data, or truncates the file at offset if data is nil, and records it.
func (d *Disk) write(inode uint64, fd int, offset int64, data []byte) syscall.Errno {
	return d.change(func() syscall.Errno {
		f, errno := d.fileOf(inode, fd)
		if errno != 0 {
			return errno
		}
		size, err := f.size()
		if err != nil {
			return fs.ToErrno(err)
		}
		grows := offset - size
		if data != nil {
			grows = max(0, grows+int64(len(data)))
		}
		if d.limited && grows > d.room {
			return syscall.ENOSPC
		}
		if err := f.record(offset, data); err != nil {
			return fs.ToErrno(err)
		}
		if data == nil {
			err = f.fd.Truncate(offset)
		} else {
			_, err = f.fd.WriteAt(data, offset)
		}
		if err == nil {
			d.room -= grows
		}
		return fs.ToErrno(err)
	})
}
