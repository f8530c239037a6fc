package locks

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// fileState is a file at one moment.
type fileState struct {
	dev, ino uint64 // by stat(2)
	size     int64
	changed  unix.Timespec
}

func stat(path string) (fileState, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileState{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileState{uint64(st.Dev), st.Ino, st.Size, st.Mtim}, nil
}

// sameFile reports whether both are states of one file.
func (s fileState) sameFile(o fileState) bool { return s.dev == o.dev && s.ino == o.ino }

// lockFile is a file that processes may hold locks on.
type lockFile struct {
	exists      bool
	state       fileState
	id          fileID
	deviceKnown bool
}

// refresh reads the state of the file. If the path names another file than
// before, refresh reads the identity of the new file as well.
func (f *lockFile) refresh(path string) error {
	st, err := stat(path)
	if err != nil {
		f.exists = false
		return err
	}
	if !f.exists || !f.state.sameFile(st) {
		if f.id, f.deviceKnown, err = identify(path, st); err != nil {
			f.exists = false
			return err
		}
	}
	f.state, f.exists = st, true
	return nil
}

// matches reports whether the entry is a lock on this file.
func (f *lockFile) matches(e entry) bool {
	return f.exists && e.ino == f.id.ino && (!f.deviceKnown || e.dev == f.id.dev)
}

// identify returns the identity of a file in the table of locks. It may differ
// from stat(2): on btrfs the device differs, on some overlays the inode as well.
// The kernel's own numbers are in fdinfo and mountinfo. Where the kernel does
// not tell the device, deviceKnown is false and only the inode counts.
func identify(path string, st fileState) (id fileID, deviceKnown bool, err error) {
	// O_PATH: closing any other descriptor of the file would release the locks
	// that this process holds on it.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fileID{}, false, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return fileID{ino: st.ino}, false, nil
	}
	id.ino = st.ino
	if ino, ok := parseUint(fieldValue(info, "ino:"), 10); ok { // since Linux 5.14
		id.ino = ino
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return id, false, nil
	}
	id.dev, deviceKnown = mountDevice(mounts, fieldValue(info, "mnt_id:"))
	return id, deviceKnown, nil
}

// fieldValue returns the word that follows a key at the start of a line.
func fieldValue(text []byte, key string) []byte {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			w, _ := nextWord(rest)
			return w
		}
	}
	return nil
}

// mountDevice finds the device of a mount in mountinfo: "23 28 0:22 / /proc rw ...".
func mountDevice(mounts, id []byte) (uint64, bool) {
	for line := range bytes.Lines(mounts) {
		w, rest := nextWord(line)
		if len(id) == 0 || !bytes.Equal(w, id) {
			continue
		}
		_, rest = nextWord(rest)
		w, _ = nextWord(rest)
		a, b, _ := bytes.Cut(w, []byte{':'})
		major, ok1 := parseUint(a, 10)
		minor, ok2 := parseUint(b, 10)
		return major<<32 | minor, ok1 && ok2
	}
	return 0, false
}

// resolve returns the absolute path without symbolic links, as SQLite computes
// it. The -wal and -shm files stand beside that path.
func resolve(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	full, err = filepath.EvalSymlinks(full)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return "", fmt.Errorf("cannot reach %s: %w", e.Path, e.Err) // not "lstat"
	}
	if err != nil {
		return "", err
	}
	return full, nil
}

// networkFileSystems are file systems by f_type where other machines may hold
// locks that this kernel does not know. Of those that are certain to be on a
// network, WAL is not safe: its index is shared memory.
var networkFileSystems = map[uint32]struct {
	name    string
	certain bool
}{
	unix.NFS_SUPER_MAGIC:  {"NFS", true},
	unix.SMB_SUPER_MAGIC:  {"SMB", true},
	unix.CIFS_SUPER_MAGIC: {"SMB", true},
	unix.SMB2_SUPER_MAGIC: {"SMB", true},
	unix.CEPH_SUPER_MAGIC: {"Ceph", true},
	unix.V9FS_MAGIC:       {"9P", false},
	unix.FUSE_SUPER_MAGIC: {"FUSE", false},
}

// NetworkFileSystem names the file system of path if it is, or may be, on a
// network. The name is "" for a local one and for one that can't be asked.
func NetworkFileSystem(path string) (name string, certain bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", false
	}
	// The width and sign of the type differ between architectures.
	f := networkFileSystems[uint32(st.Type)]
	return f.name, f.certain
}
