package locks

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// maxCommand is how many characters of a command line are kept, which is enough
// to recognise it.
const maxCommand = 60

// commandLine returns the command line of a process, shortened. It returns the
// process's name if the command line is empty, and "" if the process is gone.
func commandLine(pid int) string {
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

// printable shortens a string and replaces what is not printable. A process
// chooses its own command line and must not control our user's terminal.
func printable(s string) string {
	runes := []rune(strings.ToValidUTF8(s, "?"))
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	if len(runes) > maxCommand {
		runes = append(runes[:maxCommand-1], '…')
	}
	return string(runes)
}

// Describe returns what is known about a process.
func Describe(pid int) Process {
	p := Process{PID: pid}
	if pid <= 0 {
		return p
	}
	dir := "/proc/" + strconv.Itoa(pid)
	p.Command = commandLine(pid)
	if text, err := os.ReadFile(dir + "/stat"); err == nil {
		p.State, p.Started = parseStat(text)
	}
	if text, err := os.ReadFile(dir + "/status"); err == nil {
		p.User, p.InnerPID = parseStatus(text)
		if p.InnerPID == pid {
			p.InnerPID = 0
		}
	}
	if text, err := os.ReadFile(dir + "/cgroup"); err == nil {
		p.Container = containerID(string(text))
	}
	return p
}

// parseStat reads the state and the start time from /proc/PID/stat. A start time that is
// not known is zero.
func parseStat(text []byte) (State, time.Time) {
	// "pid (name) state ...", and the name may contain any character.
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return "", time.Time{}
	}
	fields := bytes.Fields(text[i+1:])
	const startField = 22 - 3 // counted from the state, which is field 3
	if len(fields) <= startField {
		return "", time.Time{}
	}
	state := map[byte]State{'R': Running, 'S': Sleeping, 'I': Sleeping, 'D': DiskWait, 'T': Stopped, 't': Traced, 'Z': Zombie}[fields[0][0]]
	ticks, ok := parseUint(fields[startField], 10)
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil || !ok {
		return state, time.Time{}
	}
	const tick = time.Second / 100 // USER_HZ, the same on all architectures that Go runs on
	if ticks > uint64(sinceBoot.Nano()/int64(tick)) {
		return state, time.Time{}
	}
	return state, time.Now().Add(time.Duration(ticks)*tick - time.Duration(sinceBoot.Nano()))
}

// parseStatus reads the user and the innermost PID from /proc/PID/status.
func parseStatus(text []byte) (name string, innerPID int) {
	id := string(fieldValue(text, "Uid:"))
	name = id
	if u, err := user.LookupId(id); err == nil {
		name = u.Username
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			pids := bytes.Fields(rest)
			if len(pids) > 0 {
				innerPID, _ = parseInt(pids[len(pids)-1])
			}
		}
	}
	return name, innerPID
}

// containerName matches the id of a container in the name of its control group,
// as docker, podman, containerd and CRI-O make it.
var containerName = regexp.MustCompile(`[0-9a-f]{64}`)

// containerID returns the short id of the container that a control group belongs
// to, or "".
func containerID(cgroup string) string {
	ids := containerName.FindAllString(cgroup, -1)
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1][:12]
}

// openers returns the processes that have the database or its -shm file open.
// unreadable is the number of processes whose descriptors may not be read.
func openers(path string, main, shm fileState) (found []Process, unreadable int) {
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
		if os.IsPermission(err) && !isKernelThread(dir) {
			unreadable++
		}
		for _, fd := range fds {
			link, err := os.Readlink(dir + "/fd/" + fd.Name())
			if err != nil || !names[filepath.Base(strings.TrimSuffix(link, " (deleted)"))] {
				continue
			}
			// stat(2) of a descriptor on a dead network or FUSE mount may hang.
			if d, ok := descriptor(dir, fd.Name()); ok && d.mayHang() && d.ino != main.ino && d.ino != shm.ino {
				continue
			}
			if st, err := stat(dir + "/fd/" + fd.Name()); err == nil && (st.sameFile(main) || st.sameFile(shm)) {
				found = append(found, Describe(pid))
				break
			}
		}
	}
	return found, unreadable
}

// A descriptorInfo is what the kernel knows of an open file without asking its file
// system.
type descriptorInfo struct {
	ino    uint64
	fsType string
}

func (d descriptorInfo) mayHang() bool {
	return strings.HasPrefix(d.fsType, "fuse") || strings.HasPrefix(d.fsType, "nfs") || d.fsType == "cifs" || d.fsType == "smb3" || d.fsType == "9p"
}

// descriptor reads /proc/PID/fdinfo and mountinfo. Kernels before 5.14 have no inode
// number there.
func descriptor(dir, fd string) (d descriptorInfo, ok bool) {
	text, err := os.ReadFile(dir + "/fdinfo/" + fd)
	if err != nil {
		return d, false
	}
	mount := ""
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch value = strings.TrimSpace(value); name {
		case "mnt_id":
			mount = value
		case "ino":
			d.ino, err = strconv.ParseUint(value, 10, 64)
			ok = err == nil
		}
	}
	mounts, err := os.ReadFile(dir + "/mountinfo")
	if err != nil {
		return d, false
	}
	for line := range strings.Lines(string(mounts)) { // "24 1 254:0 / / rw - ext4 /dev/vda rw"
		if id, _, _ := strings.Cut(line, " "); id == mount {
			_, rest, _ := strings.Cut(line, " - ")
			d.fsType, _, _ = strings.Cut(rest, " ")
			return d, ok
		}
	}
	d.fsType = "fuse" // unmounted lazily: what is open there may hang all the more
	return d, ok
}

// isKernelThread reports whether the process is a kernel thread, which opens no
// files.
func isKernelThread(dir string) bool {
	line, err := os.ReadFile(dir + "/cmdline")
	return err == nil && len(line) == 0
}
