package about

// The machine, as Linux tells it.

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// cpuModel is "" on many ARM machines, which tell numbers only.
func cpuModel() string { return value("/proc/cpuinfo", "model name") }

func memory() uint64 {
	kib, err := strconv.ParseUint(strings.TrimSuffix(value("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// value finds "key : value" in a file of the kernel's.
func value(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		k, v, ok := strings.Cut(string(line), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// fileSystemType asks mountinfo, because statfs(2) tells ext2 and ext4 alike,
// and of the file systems in user space not which.
func fileSystemType(dir string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close() // only read
	best, kind := "", ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		// Of several mounted on one point the last is on top.
		if point := unescape(fields[4]); len(point) >= len(best) && within(dir, point) {
			best = point
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind
}

func within(dir, point string) bool {
	return point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
}

// unescape undoes the kernel's octal for blanks in a path.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
