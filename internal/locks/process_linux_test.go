package locks

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	before := time.Now().Add(-time.Second) // the kernel counts in ticks of 10 ms
	cmd := exec.CommandContext(t.Context(), "sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("sleep ended before it was killed")
		}
	}()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	waitState := func(want State) Process {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			p := Describe(cmd.Process.Pid)
			if p.State == want {
				return p
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %+v, want it %s", p, want)
			}
		}
	}
	p := waitState(Sleeping)
	if p.Command != "sleep 100" || p.User != me.Username || p.Started.Before(before) || p.Started.After(time.Now().Add(time.Second)) || p.InnerPID != 0 {
		t.Errorf("got %+v", p)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if p := waitState(Stopped); !p.State.Halted() {
		t.Errorf("got %+v", p)
	}
	if p := Describe(Hidden); p != (Process{}) {
		t.Errorf("hidden: %+v", p)
	}
}

func TestContainerID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for cgroup, want := range map[string]string{
		"0::/\n": "",
		"0::/user.slice/user-1000.slice/session-3.scope\n":                       "",
		"0::/system.slice/docker-" + id + ".scope\n":                             "0123456789ab",
		"12:pids:/docker/" + id + "\n11:cpu:/docker/" + id + "\n":                "0123456789ab",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope": "0123456789ab",
	} {
		if got := containerID(cgroup); got != want {
			t.Errorf("%q: got %q, want %q", cgroup, got, want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	// Of a process in a container, as the host sees it.
	name, inner := parseStatus([]byte("Name:\tpython3\nUid:\t4242424\t0\t0\t0\nNSpid:\t5340\t7\n"))
	if name != "4242424" || inner != 7 {
		t.Errorf("got %q, %d", name, inner)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb\xff\nc"); got != "a [2Jb? c" {
		t.Errorf("got %q", got)
	}
	if got := []rune(printable(strings.Repeat("ü", 100))); len(got) != maxCommand {
		t.Errorf("%d characters", len(got))
	}
	if got := commandLine(os.Getpid()); !strings.HasPrefix(got, filepath.Base(os.Args[0])) {
		t.Errorf("own command: %q", got)
	}
}

// TestDescriptor: the kernel tells the inode and the file system of a descriptor
// without touching that file system.
func TestDescriptor(t *testing.T) {
	name := t.TempDir() + "/rides.db"
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := stat(name)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := descriptor("/proc/self", fmt.Sprint(f.Fd()))
	if !ok || d.ino != want.ino || d.fsType == "" || d.mayHang() {
		t.Errorf("got %+v, %t, want inode %d", d, ok, want.ino)
	}
	if _, ok := descriptor("/proc/self", "99999"); ok {
		t.Error("an absent descriptor has facts")
	}
	for kind, hangs := range map[string]bool{"fuse.sshfs": true, "fuse": true, "nfs4": true, "9p": true, "ext4": false, "overlay": false} {
		if (descriptorInfo{fsType: kind}).mayHang() != hangs {
			t.Errorf("%s: may hang is %t", kind, !hangs)
		}
	}
}
