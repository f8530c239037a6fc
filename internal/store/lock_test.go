package store

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	is := func(want bool) {
		t.Helper()
		if got, err := HasWriter(path); got != want || err != nil {
			t.Errorf("locked %v, %v; want %v", got, err, want)
		}
	}
	is(false)
	if _, err := os.Stat(path + ".lock"); err == nil {
		t.Error("asking has made the file")
	}
	lock, err := Lock(t.Context(), path, func() { t.Error("it waits") })
	if err != nil {
		t.Fatal(err)
	}
	is(true)
	is(true) // asking has not taken it away
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	is(false)
}
