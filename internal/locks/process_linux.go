package locks

// Processes: what they are called, and which of them have a file open.

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// longest is how much of a command line is told: it is for recognising.
const longest = 60

// command is a process's command line, shortened; its name where it hides the
// line, and nothing where it is gone.
func command(pid int) string {
	dir := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(bytes.Trim(line, "\x00")) == 0 {
		name, err := os.ReadFile(dir + "/comm")
		if err != nil {
			return ""
		}
		return printable(strings.TrimSpace(string(name)))
	}
	args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	return printable(strings.Join(args, " "))
}

// printable keeps a process from drawing on the terminal of who looks at it.
func printable(s string) string {
	runes := []rune(strings.ToValidUTF8(s, "?"))
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	if len(runes) > longest {
		runes = append(runes[:longest-1], '…')
	}
	return string(runes)
}

// stopped says whether a process is stopped, by a signal or a debugger.
func stopped(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false // gone
	}
	// "pid (name) state ...", and the name may hold anything.
	if i := bytes.LastIndexByte(text, ')'); i >= 0 && i+2 < len(text) {
		return text[i+2] == 'T' || text[i+2] == 't'
	}
	return false
}

// An opener is a process that has the database open, and by which descriptors.
type opener struct {
	pid     int
	infos   []string // of the database file: /proc/PID/fdinfo/FD
	command string
}

// openers looks through the descriptors of all processes. Of how many it could
// not look at, because they are other users', it says the number.
func openers(path string, main, shm fileState) (found []opener, barred int) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, 0
	}
	names := map[string]bool{}
	for _, end := range []string{"", "-wal", "-shm"} {
		names[filepath.Base(path)+end] = true
	}
	self := os.Getpid()
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == self {
			continue
		}
		dir := "/proc/" + p.Name()
		fds, err := os.ReadDir(dir + "/fd")
		if os.IsPermission(err) && !inKernel(dir) {
			barred++
		}
		o := opener{pid: pid}
		opens := false
		for _, fd := range fds {
			link, err := os.Readlink(dir + "/fd/" + fd.Name())
			// The name is only to save the stat, which for a descriptor on a dead
			// network mount may hang.
			if err != nil || !names[filepath.Base(strings.TrimSuffix(link, " (deleted)"))] {
				continue
			}
			switch st, err := stat(dir + "/fd/" + fd.Name()); {
			case err != nil:
			case st.same(main):
				o.infos = append(o.infos, dir+"/fdinfo/"+fd.Name())
				opens = true
			case st.same(shm):
				opens = true
			}
		}
		if opens {
			o.command = command(pid)
			found = append(found, o)
		}
	}
	return found, barred
}

// inKernel says whether the process is a thread of the kernel, which opens nothing.
func inKernel(dir string) bool {
	line, err := os.ReadFile(dir + "/cmdline")
	return err == nil && len(line) == 0
}

// holdsOFD says whether the process has this open file description's lock:
// the table doesn't name its holder, but fdinfo lists a descriptor's own locks.
func (o opener) holdsOFD(e entry) bool {
	for _, name := range o.infos {
		info, err := os.ReadFile(name)
		if err != nil {
			continue // closed since
		}
		for line := range bytes.Lines(info) {
			rest, ok := bytes.CutPrefix(line, []byte("lock:"))
			if !ok {
				continue
			}
			if l, ok := parseLine(rest); ok && l.ofd && l.file == e.file && l.write == e.write && l.from == e.from && l.to == e.to {
				return true
			}
		}
	}
	return false
}

// remote says whether others than this kernel may lock files of the file
// system, unseen.
func remote(path string) (string, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", false
	}
	// The width and sign of the type differ between architectures.
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS", true
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB", true
	case unix.V9FS_MAGIC:
		return "9P", true
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", true
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph", true
	}
	return "", false
}
