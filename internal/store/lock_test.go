package store

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
)

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	is := func(want bool) {
		t.Helper()
		if got, holder, err := HasWriter(path); got != want || err != nil {
			t.Errorf("locked %v, %v; want %v", got, err, want)
		} else if host, _ := os.Hostname(); got && (holder.PID != os.Getpid() || holder.Host != host || time.Since(holder.Since) > time.Minute) {
			t.Errorf("the holder is %+v", holder)
		}
	}
	is(false)
	if _, err := os.Stat(path + ".lock"); err == nil {
		t.Error("asking has made the file")
	}
	lock, err := Lock(t.Context(), path, func(Holder) { t.Error("it waits") })
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

// A health check takes the lock for a moment. A consumer that starts then is no
// standby.
func TestLockBesideAHealthCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rides.db")
	synctest.Test(t, func(t *testing.T) { lockBesideAHealthCheck(t, path) })
}

func lockBesideAHealthCheck(t *testing.T, path string) {
	t.Helper()
	asking := flock.New(path + ".lock")
	if ok, err := asking.TryRLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	released := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, func() {
		if err := asking.Unlock(); err != nil {
			t.Error(err)
		}
		close(released)
	})
	lock, err := Lock(t.Context(), path, func(Holder) { t.Error("it calls itself a standby") })
	if err != nil {
		t.Fatal(err)
	}
	<-released
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
