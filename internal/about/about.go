// Package about tells what a measurement depends on: the machine, the
// versions, the disk. A figure without them can't be compared with another.
package about

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// An Info is what a result depends on. What is not known is "", 0 or nil.
type Info struct {
	At         time.Time  `json:"at"`
	OS         string     `json:"os"`
	Kernel     string     `json:"kernel"`
	Arch       string     `json:"arch"`
	CPUs       int        `json:"cpus"`
	CPUModel   string     `json:"cpu_model"`
	GOMAXPROCS int        `json:"gomaxprocs"` // less than cpus where a container has less
	Memory     uint64     `json:"memory_bytes"`
	Go         string     `json:"go"`
	SQLite     string     `json:"sqlite"`
	Driver     string     `json:"sqlite_driver"` // modernc.org/sqlite
	NATSServer string     `json:"nats_server"`
	NATSClient string     `json:"nats_client"`
	FileSystem FileSystem `json:"file_system"`
	WorkingDir string     `json:"working_directory"`
	Terminal   string     `json:"terminal"`
	Git        Git        `json:"git"`
}

// Collect gathers all of it. The folder is where the database will be, which
// need not exist yet: the disk it would be on counts. It takes some tens of
// milliseconds, most of them to measure fsync.
func Collect(ctx context.Context, dir string) Info {
	wd, err := os.Getwd()
	if err != nil {
		wd = ""
	}
	v := versions()
	return Info{
		At: time.Now(), OS: runtime.GOOS, Kernel: kernel(), Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), CPUModel: cpuModel(), GOMAXPROCS: runtime.GOMAXPROCS(0), Memory: memory(),
		Go: runtime.Version(), SQLite: sqliteVersion(ctx),
		Driver: v["modernc.org/sqlite"], NATSServer: v["github.com/nats-io/nats-server/v2"], NATSClient: v["github.com/nats-io/nats.go"],
		FileSystem: examine(ctx, dir), WorkingDir: wd, Terminal: terminal(), Git: git(ctx),
	}
}

// Short is one line of what matters most.
func (i Info) Short() string {
	parts := []string{
		i.system(),
		i.cpus(),
		i.Go,
		"SQLite " + known(i.SQLite),
		"nats-server " + known(i.NATSServer),
		i.FileSystem.short(),
	}
	return strings.Join(parts, ", ")
}

// Text is all of it, a line each, and the warnings.
func (i Info) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range [][2]string{
		{"time", i.At.Format("2006-01-02 15:04:05 -07:00")},
		{"system", i.system()},
		{"processors", i.cpus()},
		{"GOMAXPROCS", fmt.Sprint(i.GOMAXPROCS)},
		{"memory", size(i.Memory)},
		{"Go", i.Go},
		{"SQLite", known(i.SQLite) + ", by modernc.org/sqlite " + known(i.Driver)},
		{"NATS", "nats-server " + known(i.NATSServer) + ", nats.go " + known(i.NATSClient)},
		{"file system", i.FileSystem.describe()},
		{"folder", i.FileSystem.Dir},
		{"working directory", known(i.WorkingDir)},
		{"terminal", i.Terminal},
		{"git", i.Git.describe()},
	} {
		fmt.Fprintf(w, "%s\t%s\n", l[0], l[1])
	}
	w.Flush() // into a strings.Builder, which takes everything
	if i.FileSystem.Warning != "" {
		fmt.Fprintf(&b, "warning: %s\n", i.FileSystem.Warning)
	}
	return b.String()
}

func (i Info) system() string {
	return strings.TrimSpace(i.OS + "/" + i.Arch + " " + i.Kernel)
}

func (i Info) cpus() string {
	s := fmt.Sprint(i.CPUs, " CPUs")
	if i.CPUs == 1 {
		s = "1 CPU"
	}
	if i.CPUModel != "" {
		s += " (" + i.CPUModel + ")"
	}
	return s
}

func known(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return s
}

func size(bytes uint64) string {
	if bytes == 0 {
		return known("")
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}

// terminal is the kind and size of the terminal: a slow one slows who logs to it.
func terminal() string {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return strings.TrimSpace(fmt.Sprintf("%s %dx%d", os.Getenv("TERM"), width, height))
		}
	}
	return "none"
}
