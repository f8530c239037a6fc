package store

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Two names of one file would be two databases for the lock and the WAL.
func TestHardLink(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux tells the number of links")
	}
	path := filepath.Join(t.TempDir(), "rides.db")
	d := open(t, path)
	writeRides(t, d, 2, 10)
	link := path + ".link"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := Open(t.Context(), name, Options{})
		if e, ok := errors.AsType[*LinkedError](err); !ok || e.Links != 2 {
			t.Errorf("open %s: %v, want that it has 2 links", name, err)
		}
	}
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// A special file is refused at once: opening a named pipe would wait.
func TestSpecialFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("SKIPPED: no Unix sockets: %v", err)
	}
	defer listener.Close()
	_, openErr := Open(t.Context(), path, Options{})
	_, readErr := OpenReader(t.Context(), path)
	for _, err := range []error{Check(t.Context(), path), openErr, readErr} {
		if e, ok := errors.AsType[*SpecialFileError](err); !ok || e.Kind != "socket" {
			t.Errorf("error %v, want that it is a socket", err)
		}
	}
	if err := Check(t.Context(), os.DevNull); runtime.GOOS != "windows" && err == nil {
		t.Error("a device passes for a database")
	}
}

// A path that is refused leaves no folder and no lock file.
func TestCheckCreatesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("rides.csv", []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	paths := []string{"rides.csv", "", ".", "new/", "new/..", "new/."}
	if runtime.GOOS != "windows" {
		long := strings.Repeat("x", 250) // its -journal is too long
		paths = append(paths, long, "new/"+long, "new/"+long+long+"/rides.db")
	}
	for _, path := range paths {
		if err := Check(t.Context(), filepath.FromSlash(path)); err == nil {
			t.Errorf("%q passes for a database", path)
		}
	}
	if err := Check(t.Context(), filepath.Join("new", "rides.db")); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("%v, %v: want rides.csv alone", files, err)
	}
}
