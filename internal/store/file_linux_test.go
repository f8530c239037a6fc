package store

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// No test has a network file system: the one that there is plays it.
func TestNetwork(t *testing.T) {
	dir := t.TempDir()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	id := uint32(stat.Type)
	if name := networkFileSystems[id]; name != "" {
		t.Fatalf("the temporary folder is on %s", name)
	}
	networkFileSystems[id] = "NFS"
	defer delete(networkFileSystems, id)
	_, err := Open(t.Context(), filepath.Join(dir, "rides.db"), Options{})
	if e, ok := errors.AsType[*NetworkError](err); !ok || e.System != "NFS" {
		t.Errorf("opened on a network: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("made there: %v, %v", left, err)
	}
}
