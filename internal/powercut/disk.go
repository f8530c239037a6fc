//go:build linux

// Package powercut is a file system for tests whose power can be cut. A cut
// forgets what was not fsynced, file by file, data and size.
//
// A Disk shows a folder at a mount point. All changes go to the folder at once,
// as they would to the page cache, and are recorded until the file is synced:
//
//   - fsync and fdatasync make all earlier writes and truncations of the file
//     durable. So does each write to a file that is open with O_SYNC or O_DSYNC.
//   - A cut takes back what is not durable, and then applies a random part of it
//     again: some sectors of 512 bytes of some writes, also of late writes
//     without the earlier ones. So the end of a file may be missing, torn, or
//     have holes of zeros.
//   - create, rename, unlink and mkdir are durable at once, in order. This is what
//     ext4 and XFS do in effect: their journals keep the order of these changes,
//     and the next fsync of any file writes the journal. A program that forgets
//     to sync a folder is not found out. A program that renames a file over
//     another before it syncs its data is: it finds an empty file.
//
// A process that is still alive at the cut can't change the disk any more: its
// calls wait until PowerOff, and fail then.
//
// The package works on Linux, with /dev/fuse, as root or with fusermount3. The
// process that serves a Disk must not itself map a file of it into memory, or
// start a process in a folder of it: it would wait for itself.
package powercut

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A Disk is a file system that records what is not yet durable.
type Disk struct {
	folder, mount string
	server        *fuse.Server // nil while it is not mounted

	mu       sync.Mutex
	files    map[uint64]*file // with changes that are not durable, by inode
	cut      chan struct{}    // not nil after Cut; closed by PowerOff
	limited  bool             // room counts
	room     int64            // bytes that files can still grow
	rng      *rand.Rand
	syncTime time.Duration
}

// Available says why no Disk can be mounted here, or returns nil.
func Available() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// New mounts a disk that holds what is in folder. An fsync takes a random time
// of at most syncTime. The random numbers decide what survives a cut, too.
func New(folder, mount string, syncTime time.Duration, rng *rand.Rand) (*Disk, error) {
	d := &Disk{folder: folder, mount: mount, rng: rng, syncTime: syncTime}
	return d, d.PowerOn()
}

// PowerOn mounts the disk, with what survived.
func (d *Disk) PowerOn() error {
	d.mu.Lock()
	d.files, d.cut = map[uint64]*file{}, nil
	d.mu.Unlock()
	root := &fs.LoopbackRoot{Path: d.folder}
	var st syscall.Stat_t
	if err := syscall.Stat(d.folder, &st); err != nil {
		return fmt.Errorf("powercut: %s: %w", d.folder, err)
	}
	root.Dev = st.Dev
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, disk: d}
	root.RootNode = top
	second := time.Second
	server, err := fs.Mount(d.mount, top, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second, // only the kernel changes the files
		MountOptions: fuse.MountOptions{
			DirectMount: true, DisableXAttrs: true, ExplicitDataCacheControl: true,
			MaxWrite: 1 << 20, FsName: "powercut", Name: "powercut",
		},
	})
	if err != nil {
		return fmt.Errorf("powercut: mount %s: %w", d.mount, err)
	}
	d.server = server
	return nil
}

// Cut cuts the power: from now on nothing changes on the disk. The caller kills
// the processes that use the disk, calls PowerOff, and waits for their end.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = make(chan struct{})
}

// PowerOff fails the calls that wait since Cut. The processes that use the disk
// must have been killed, so that they never see the errors.
func (d *Disk) PowerOff() { close(d.cut) }

// Unmount unmounts the disk, whose processes must have ended. After a Cut it
// takes back what was not durable, but for a random part.
func (d *Disk) Unmount() error {
	if err := d.unmount(); err != nil {
		return fmt.Errorf("powercut: unmount %s: %w", d.mount, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var failed error
	for _, f := range d.files {
		if d.cut != nil {
			failed = errors.Join(failed, f.revert(), f.keepSome(d.rng))
		}
		failed = errors.Join(failed, f.fd.Close())
	}
	d.files = map[uint64]*file{}
	return failed
}

// unmount retries for a while: the kernel closes the files of a process only
// after its parent has heard of its end.
func (d *Disk) unmount() (err error) {
	for range 1500 {
		if err = d.server.Unmount(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// SetRoom leaves room for so many bytes more; a negative number lifts the limit.
// A write that makes a file longer than there is room fails with ENOSPC. What is
// removed or cut off gives its room back.
func (d *Disk) SetRoom(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limited, d.room = bytes >= 0, bytes
}

// Unsynced returns the number of bytes that were written and are not durable.
func (d *Disk) Unsynced() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		for _, c := range f.changes {
			n += len(c.data)
		}
	}
	return n
}

// change runs what changes the disk, one call at a time. After a cut it waits for
// PowerOff, and fails.
func (d *Disk) change(do func() syscall.Errno) syscall.Errno {
	d.mu.Lock()
	if cut := d.cut; cut != nil {
		d.mu.Unlock()
		<-cut
		return syscall.EIO
	}
	defer d.mu.Unlock()
	return do()
}

// fileOf returns the record of an inode, and makes one if there is none. It keeps
// the file open until it is durable, so the inode number stays its own. The
// caller holds mu.
func (d *Disk) fileOf(inode uint64, fd int) (*file, syscall.Errno) {
	if f := d.files[inode]; f != nil {
		return f, 0
	}
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, fs.ToErrno(err)
	}
	f := &file{fd: os.NewFile(uintptr(own), fmt.Sprint("inode ", inode))}
	d.files[inode] = f
	return f, 0
}

// sync makes the changes durable that a file had when sync was called. A cut
// while it takes its time comes first.
func (d *Disk) sync(inode uint64) syscall.Errno {
	var last int
	var pause time.Duration
	errno := d.change(func() syscall.Errno {
		if f := d.files[inode]; f != nil {
			last = f.first + len(f.changes)
		}
		if d.syncTime > 0 {
			pause = time.Duration(d.rng.Int64N(int64(d.syncTime)))
		}
		return 0
	})
	if errno != 0 {
		return errno
	}
	time.Sleep(pause)
	return d.change(func() syscall.Errno {
		f := d.files[inode]
		if f == nil {
			return 0
		}
		if n := last - f.first; n > 0 {
			f.changes, f.first = f.changes[n:], last
		}
		if len(f.changes) > 0 {
			return 0
		}
		delete(d.files, inode)
		return fs.ToErrno(f.fd.Close())
	})
}
