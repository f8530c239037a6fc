package about

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestCollect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	i := Collect(t.Context(), dir)
	if !regexp.MustCompile(`^3\.\d+\.\d+$`).MatchString(i.SQLite) {
		t.Errorf("SQLite %q", i.SQLite)
	}
	if i.CPUs < 1 || i.GOMAXPROCS < 1 || i.Go != runtime.Version() || i.OS != runtime.GOOS {
		t.Errorf("got %+v", i)
	}
	if runtime.GOOS == "linux" && (i.Kernel == "" || i.Memory < 1<<20 || i.FileSystem.Type == "") {
		t.Errorf("kernel %q, memory %d, file system %q", i.Kernel, i.Memory, i.FileSystem.Type)
	}
	if i.FileSystem.Dir != dir || i.FileSystem.FsyncUS == nil || *i.FileSystem.FsyncUS <= 0 {
		t.Errorf("file system %+v", i.FileSystem)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Collect created the directory")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(dir))), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	for _, want := range []string{i.SQLite, runtime.Version(), "fsync"} {
		if !strings.Contains(i.Short(), want) || !strings.Contains(i.Text(), want) {
			t.Errorf("%q is missing:\n%s\n%s", want, i.Short(), i.Text())
		}
	}
	if strings.Contains(i.Short(), "\n") {
		t.Errorf("more than one line: %q", i.Short())
	}
}

func TestText(t *testing.T) {
	us, dirty := 1234.5, true
	i := Info{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), OS: "linux", Kernel: "6.18.1", Arch: "amd64", CPUs: 2, CPUModel: "Some CPU",
		GOMAXPROCS: 2, Memory: 3 << 29, Go: "go1.26.8", SQLite: "3.54.1", Driver: "v1.61.1", NATSServer: "v2.15.2",
		FileSystem: FileSystem{Dir: "/x/var", Type: "ext4", FsyncUS: &us}, WorkingDir: "/x", Terminal: "none", Git: Git{"abc", &dirty},
	}
	const short = "linux/amd64 6.18.1, 2 CPUs (Some CPU), go1.26.8, SQLite 3.54.1, nats-server v2.15.2, ext4 with fsync 1.2 ms"
	if got := i.Short(); got != short {
		t.Errorf("got  %s\nwant %s", got, short)
	}
	const text = `time               2026-01-02 03:04:05 +00:00
system             linux/amd64 6.18.1
processors         2 CPUs (Some CPU)
GOMAXPROCS         2
memory             1.5 GiB
Go                 go1.26.8
SQLite             3.54.1, by modernc.org/sqlite v1.61.1
NATS               nats-server v2.15.2, nats.go (unknown)
file system        ext4, fsync 1.2 ms
folder             /x/var
working directory  /x
terminal           none
git                abc, with changes
`
	if got := i.Text(); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	const doc = `{"at":"2026-01-02T03:04:05Z","os":"linux","kernel":"6.18.1","arch":"amd64","cpus":2,"cpu_model":"Some CPU","gomaxprocs":2,` +
		`"memory_bytes":1610612736,"go":"go1.26.8","sqlite":"3.54.1","sqlite_driver":"v1.61.1","nats_server":"v2.15.2","nats_client":"",` +
		`"file_system":{"dir":"/x/var","type":"ext4","fsync_us":1234.5,"warning":""},"working_directory":"/x","terminal":"none","git":{"commit":"abc","dirty":true}}`
	if got, err := json.Marshal(i); string(got) != doc || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, doc)
	}
}

func TestWarning(t *testing.T) {
	for _, c := range []struct {
		kind  string
		fsync time.Duration
		want  string
	}{
		{"ext4", time.Millisecond, ""},
		{"tmpfs", time.Millisecond, "in memory (tmpfs)"},
		{"overlay", 3 * time.Microsecond, "fsync takes 3 µs, faster than any disk"},
	} {
		if got := warning(c.kind, c.fsync); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s, %s: %q", c.kind, c.fsync, got)
		}
	}
	us := 3.0
	if got := (FileSystem{Type: "tmpfs", FsyncUS: &us, Warning: "x"}).short(); got != "tmpfs with fsync 3 µs (not a disk)" {
		t.Errorf("the short form lacks the warning: %q", got)
	}
	if f := measureFileSystem(t.Context(), filepath.Join(t.TempDir(), "a\x00b")); f.Warning == "" && f.FsyncUS == nil {
		t.Errorf("neither an fsync duration nor a warning: %+v", f)
	}
}
