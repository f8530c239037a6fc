package locks

// Files that come and go, are none, or are hard to tell apart.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFileComesAndGoes(t *testing.T) {
	path := database(t, "delete")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s, w := sampler(t, link), watcher(t, link)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sample(time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sample of a file that is gone: %v", err)
	}
	if _, err := w.Look(time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("look at a file that is gone: %v", err)
	}
	h := startHolder(t, path, "", "create table t(x)", "begin immediate")
	want := fmt.Sprintf("%d reserved", h.Process.Pid)
	if got := show(sample(t, s)); got != want {
		t.Errorf("another file of the name, through a link: %q, want %q", got, want)
	}
	if got := show(look(t, w).Locks); got != want {
		t.Errorf("watcher: %q, want %q", got, want)
	}
}

func TestMode(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if mode, err := Mode(file("empty", "")); mode != Unknown || err != nil {
		t.Errorf("empty: %s, %v", mode, err)
	}
	for _, text := range []string{"x", "SQLite format 3\x00", strings.Repeat("x", 4096)} {
		if _, err := Mode(file("other", text)); !errors.Is(err, ErrNotDatabase) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := NewWatcher(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := NewWatcher(dir); err == nil {
		t.Error("a folder is no database")
	}
}

// device numbers that stat(2) and the table don't agree about.
func TestDevice(t *testing.T) {
	mounts := "28 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n280 28 0:53 /@home /home rw - btrfs /dev/sdb rw\n"
	for id, want := range map[string]uint64{"28": 254 << 32, "280": 53, "2": 0, "": 0} {
		if got, ok := mountDevice([]byte(mounts), []byte(id)); got != want || ok != (want > 0) {
			t.Errorf("mount %q: %d, %v, want %d", id, got, ok, want)
		}
	}
	e := entry{fileID: fileID{53, 100}}
	if unsure := (lockFile{exists: true, id: fileID{0, 100}}); !unsure.matches(e) {
		t.Error("without a device the inode must do")
	}
	if sure := (lockFile{exists: true, deviceKnown: true, id: fileID{54, 100}}); sure.matches(e) {
		t.Error("same inode on another device")
	}
}
