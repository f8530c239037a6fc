package locks

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
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

// Stopped reports whether a process is stopped by SIGSTOP or a debugger. A
// stopped process keeps its locks.
func Stopped(pid int) bool {
	if pid <= 0 {
		return false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false // gone
	}
	// "pid (name) state ...", and the name may contain any character.
	if i := bytes.LastIndexByte(text, ')'); i >= 0 && i+2 < len(text) {
		return text[i+2] == 'T' || text[i+2] == 't'
	}
	return false
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
			// Compare names before stat(2): stat of a descriptor on a dead network
			// mount may hang.
			if err != nil || !names[filepath.Base(strings.TrimSuffix(link, " (deleted)"))] {
				continue
			}
			if st, err := stat(dir + "/fd/" + fd.Name()); err == nil && (st.sameFile(main) || st.sameFile(shm)) {
				found = append(found, Process{pid, commandLine(pid), Stopped(pid)})
				break
			}
		}
	}
	return found, unreadable
}

// isKernelThread reports whether the process is a kernel thread, which opens no
// files.
func isKernelThread(dir string) bool {
	line, err := os.ReadFile(dir + "/cmdline")
	return err == nil && len(line) == 0
}
