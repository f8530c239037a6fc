package about

import (
	"os"
	"testing"
)

func TestFileSystemType(t *testing.T) {
	for dir, want := range map[string]string{"/proc": "proc", "/proc/self/fd": "proc", "/sys": "sysfs"} {
		if got := fileSystemType(dir); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
	if _, err := os.Stat("/dev/shm"); err == nil {
		if f := examine(t.Context(), "/dev/shm"); f.Type == "tmpfs" && f.Warning == "" {
			t.Errorf("no warning: %+v", f)
		}
	}
	if within("/data2", "/data") || !within("/data/x", "/data") || !within("/data", "/data") || !within("/x", "/") {
		t.Error("a mount point is a prefix by whole names")
	}
	if got := unescape(`/a\040b`); got != "/a b" {
		t.Errorf("got %q", got)
	}
}
