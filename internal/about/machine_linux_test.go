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
		if f := measureFileSystem(t.Context(), "/dev/shm"); f.Type == "tmpfs" && f.Warning == "" {
			t.Errorf("no warning: %+v", f)
		}
	}
	if isWithin("/data2", "/data") || !isWithin("/data/x", "/data") || !isWithin("/data", "/data") || !isWithin("/x", "/") {
		t.Error("want a prefix of whole path elements")
	}
	if got := unescape(`/a\040b`); got != "/a b" {
		t.Errorf("got %q", got)
	}
}
