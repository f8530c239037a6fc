package locks

import (
	"testing"
	"time"
)

// FuzzProcess reads /proc/PID/stat, status, cgroup and mountinfo: a process
// chooses its own name.
func FuzzProcess(f *testing.F) {
	f.Add([]byte("1 (a) R) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 5 1 1"))
	f.Add([]byte("1 (a) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 18446744073709551615 1 1"))
	f.Add([]byte("Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t100\t1\n"))
	f.Add([]byte("23 28 0:22 / /proc rw,nosuid - proc proc rw\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, since := parseStat(text); since.After(time.Now()) {
			t.Errorf("a process started at %v", since)
		}
		parseStatus(text)
		if id := containerID(string(text)); id != "" && len(id) != 12 {
			t.Errorf("container %q", id)
		}
		mountDevice(text, []byte("23"))
	})
}
