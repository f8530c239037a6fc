package about

// Machine facts on Linux.

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

// cpuModel returns the name of the CPU. It is "" on many ARM machines, whose
// /proc/cpuinfo has only numbers.
func cpuModel() string { return procValue("/proc/cpuinfo", "model name") }

func memory() uint64 {
	kib, err := strconv.ParseUint(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// procValue returns the value of a "key : value" line in a file of /proc, or "".
func procValue(file, key string) string {
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

// fileSystemType reads mountinfo. statfs(2) has one type for ext2 and ext4, and one
// for all FUSE file systems.
func fileSystemType(dir string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close() // read only: no error matters
	best, kind := "", ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		// Of several mounts on one mount point, the last one is visible.
		if point := unescape(fields[4]); len(point) >= len(best) && isWithin(dir, point) {
			best = point
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind
}

// isWithin reports whether dir is point or below it.
func isWithin(dir, point string) bool {
	return point == "/" || dir == point || strings.HasPrefix(dir, point+"/")
}

// unescape replaces the octal escapes of white space and backslashes in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
