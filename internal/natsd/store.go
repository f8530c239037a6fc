package natsd

// The store's folder and the lock that keeps a second server off it.

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lockStore makes the folder if need be, and locks it. The lock is the
// kernel's: it ends with the process, however that ends, so that a killed
// broker never stands in the way of the next one.
func lockStore(store string) (*flock.Flock, error) {
	if store == "" {
		return nil, &StoreError{`""`, errors.New("no folder given")}
	}
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, &StoreError{store, err}
	}
	lock := flock.New(filepath.Join(store, "turnstile.lock"))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, &StoreError{store, err}
	case !ok:
		return nil, &StoreError{store, ErrStoreInUse}
	}
	if err := writable(store); err != nil {
		return nil, errors.Join(&StoreError{store, err}, lock.Unlock())
	}
	return lock, nil
}

// writable finds out by writing: a lock file that is there already can be
// locked in a folder that may only be read.
func writable(store string) error {
	f, err := os.CreateTemp(store, "turnstile-probe-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
