package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// No test has a network file system.
func TestNetwork(t *testing.T) {
	dir := t.TempDir()
	defer func(real func(string) (string, bool)) { networkFileSystem = real }(networkFileSystem)
	networkFileSystem = func(string) (string, bool) { return "NFS", true }
	_, err := Open(t.Context(), filepath.Join(dir, "rides.db"), Options{})
	if e, ok := errors.AsType[*NetworkError](err); !ok || e.System != "NFS" {
		t.Errorf("opened on a network: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("made there: %v, %v", left, err)
	}
}

// A file that is mounted by itself has a second path, with locks of its own.
func TestMounted(t *testing.T) {
	dir := t.TempDir()
	path, mountPoint := filepath.Join(dir, "rides.db"), filepath.Join(dir, "other", "rides.db")
	open(t, path)
	if err := os.Mkdir(filepath.Dir(mountPoint), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mountPoint, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "TURNSTILE_TEST_MOUNT="+path, "TURNSTILE_TEST_MOUNT_AT="+mountPoint)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: this system lets the test mount nothing: %v: %s", err, out)
	}
	if want := fmt.Sprintf("*store.MountedError %s", mountPoint); string(out) != want {
		t.Errorf("opened by the other path: %s, want %s", out, want)
	}
}

func init() {
	path, at := os.Getenv("TURNSTILE_TEST_MOUNT"), os.Getenv("TURNSTILE_TEST_MOUNT_AT")
	if path == "" {
		return
	}
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount(path, at, "", syscall.MS_BIND, "")); err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
	_, err := Open(context.Background(), at, Options{})
	if e, ok := errors.AsType[*MountedError](err); ok {
		fmt.Printf("%T %s", e, e.Path)
	} else {
		fmt.Print(err)
	}
	os.Exit(0)
}
