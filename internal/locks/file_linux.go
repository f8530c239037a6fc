package locks

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// How the table of locks names a file. It is not always how stat(2) does: on
// btrfs the device differs, on some overlays the inode too. The kernel's own
// numbers stand in fdinfo and mountinfo.

// A fileState is a file at one moment.
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

func (s fileState) same(o fileState) bool { return s.dev == o.dev && s.ino == o.ino }

// identify finds the table's name of a file. Where the kernel doesn't say the
// device, the inode alone has to do: then sure is false.
func identify(path string, st fileState) (f file, sure bool, err error) {
	// O_PATH: closing such a descriptor leaves the process's locks alone, which
	// closing any other one of this file would not.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return file{}, false, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return file{ino: st.ino}, false, nil
	}
	f.ino = st.ino
	if ino, ok := number(field(info, "ino:"), 10); ok { // since Linux 5.14
		f.ino = ino
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return f, false, nil
	}
	f.dev, sure = device(mounts, field(info, "mnt_id:"))
	return f, sure, nil
}

// field is the word after a key that begins a line.
func field(text []byte, key string) []byte {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			w, _ := word(rest)
			return w
		}
	}
	return nil
}

// device finds a mount's device in mountinfo: "23 28 0:22 / /proc rw ...".
func device(mounts, id []byte) (uint64, bool) {
	for line := range bytes.Lines(mounts) {
		w, rest := word(line)
		if len(id) == 0 || !bytes.Equal(w, id) {
			continue
		}
		_, rest = word(rest)
		w, _ = word(rest)
		a, b, _ := bytes.Cut(w, []byte{':'})
		major, ok1 := number(a, 10)
		minor, ok2 := number(b, 10)
		return major<<32 | minor, ok1 && ok2
	}
	return 0, false
}

// resolve makes a path what SQLite makes it: it follows symbolic links, so
// that -wal and -shm stand beside the file they belong to.
func resolve(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("locks: %w", err)
	}
	full, err = filepath.EvalSymlinks(full)
	if err != nil {
		return "", fmt.Errorf("locks: %w", err)
	}
	return full, nil
}
