// Package about tells what a measurement depends on: the machine, the
// versions, the disk. A figure without them can't be compared with another.
package about

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
	_ "modernc.org/sqlite" // to be asked for its version
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

// Versions: of what is built in, and of this program.

// versions are those of the modules this binary is built from.
func versions() map[string]string {
	v := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, d := range info.Deps {
		path := d.Path
		for d.Replace != nil {
			d = d.Replace
		}
		v[path] = d.Version
	}
	return v
}

// sqliteVersion asks SQLite itself.
func sqliteVersion(ctx context.Context) string {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return ""
	}
	defer db.Close() // nothing is in it
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return ""
	}
	return version
}

// A Git is the state of the source.
type Git struct {
	Commit string `json:"commit"`
	Dirty  *bool  `json:"dirty"` // changed since
}

func (g Git) describe() string {
	switch {
	case g.Commit == "":
		return known("")
	case g.Dirty != nil && *g.Dirty:
		return g.Commit + ", with changes"
	}
	return g.Commit
}

// git takes the commit from the binary; a program started by go run has none
// and asks the folder it runs in, if that is this project's.
func git(ctx context.Context) Git {
	if g, ok := stamped(); ok {
		return g
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	top, err := gitOutput(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return Git{}
	}
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil || !bytes.HasPrefix(mod, []byte("module turnstile\n")) {
		return Git{} // another project's commit would mislead
	}
	commit, err := gitOutput(ctx, "rev-parse", "HEAD")
	if err != nil {
		return Git{}
	}
	g := Git{Commit: commit}
	if changes, err := gitOutput(ctx, "status", "--porcelain"); err == nil {
		dirty := changes != ""
		g.Dirty = &dirty
	}
	return g
}

func gitOutput(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	// Looking must not write the index, which another git may be writing.
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func stamped() (Git, bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Git{}, false
	}
	var g Git
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			g.Commit = s.Value
		case "vcs.modified":
			dirty := s.Value == "true"
			g.Dirty = &dirty
		}
	}
	return g, g.Commit != ""
}
