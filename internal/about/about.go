// Package about describes the environment of a measurement: machine, versions, disk.
// Without it, two measurements can't be compared.
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
	_ "modernc.org/sqlite" // for its version
)

// An Info describes the environment of a measurement. An unknown field is "", 0 or
// nil.
type Info struct {
	At         time.Time  `json:"at"`
	OS         string     `json:"os"`
	Kernel     string     `json:"kernel"`
	Arch       string     `json:"arch"`
	CPUs       int        `json:"cpus"`
	CPUModel   string     `json:"cpu_model"`
	GOMAXPROCS int        `json:"gomaxprocs"` // less than CPUs in a container with a CPU limit
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

// Collect returns the environment of a database in dir, which need not exist yet. It
// takes tens of milliseconds, mostly to measure fsync.
func Collect(ctx context.Context, dir string) Info {
	wd, err := os.Getwd()
	if err != nil {
		wd = ""
	}
	v := ModuleVersions()
	return Info{
		At: time.Now(), OS: runtime.GOOS, Kernel: kernel(), Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), CPUModel: cpuModel(), GOMAXPROCS: runtime.GOMAXPROCS(0), Memory: memory(),
		Go: runtime.Version(), SQLite: SQLiteVersion(ctx),
		Driver: v["modernc.org/sqlite"], NATSServer: v["github.com/nats-io/nats-server/v2"], NATSClient: v["github.com/nats-io/nats.go"],
		FileSystem: measureFileSystem(ctx, dir), WorkingDir: wd, Terminal: terminal(), Git: gitState(ctx),
	}
}

// Short returns the most important facts in one line.
func (i Info) Short() string {
	parts := []string{
		i.system(),
		i.cpus(),
		i.Go,
		"SQLite " + orUnknown(i.SQLite),
		"nats-server " + orUnknown(i.NATSServer),
		i.FileSystem.short(),
	}
	return strings.Join(parts, ", ")
}

// Text returns all facts, one a line, and the warning.
func (i Info) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range [][2]string{
		{"time", i.At.Format("2006-01-02 15:04:05 -07:00")},
		{"system", i.system()},
		{"processors", i.cpus()},
		{"GOMAXPROCS", fmt.Sprint(i.GOMAXPROCS)},
		{"memory", formatMemory(i.Memory)},
		{"Go", i.Go},
		{"SQLite", orUnknown(i.SQLite) + ", by modernc.org/sqlite " + orUnknown(i.Driver)},
		{"NATS", "nats-server " + orUnknown(i.NATSServer) + ", nats.go " + orUnknown(i.NATSClient)},
		{"file system", i.FileSystem.describe()},
		{"folder", i.FileSystem.Dir},
		{"working directory", orUnknown(i.WorkingDir)},
		{"terminal", i.Terminal},
		{"git", i.Git.describe()},
	} {
		fmt.Fprintf(w, "%s\t%s\n", l[0], l[1])
	}
	w.Flush() // a strings.Builder returns no error
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

// orUnknown returns s, or "(unknown)" if it is empty.
func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return s
}

func formatMemory(bytes uint64) string {
	if bytes == 0 {
		return orUnknown("")
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}

// terminal returns the type and size of the terminal, or none. A slow terminal slows
// a process that logs to it.
func terminal() string {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return strings.TrimSpace(fmt.Sprintf("%s %dx%d", os.Getenv("TERM"), width, height))
		}
	}
	return "none"
}

// Versions of the modules and of the source.

// ModuleVersions returns the version of each module in the binary.
func ModuleVersions() map[string]string {
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

// SQLiteVersion returns the version of the SQLite library, or "".
func SQLiteVersion(ctx context.Context) string {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return ""
	}
	defer db.Close() // in memory: no error matters
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return ""
	}
	return version
}

// A Git is the commit of the source.
type Git struct {
	Commit string `json:"commit"`
	Dirty  *bool  `json:"dirty"` // true: uncommitted changes; null: unknown
}

func (g Git) describe() string {
	switch {
	case g.Commit == "":
		return orUnknown("")
	case g.Dirty != nil && *g.Dirty:
		return g.Commit + ", with changes"
	}
	return g.Commit
}

// gitState returns the commit recorded in the binary. A binary of go run has none:
// then the commit is that of the working directory, if it is in this project.
func gitState(ctx context.Context) Git {
	if g, ok := buildCommit(); ok {
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
		return Git{} // the repository of another project
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

// gitOutput returns the output of a git command.
func gitOutput(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	// git status must not lock the index: another git process may need it.
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// buildCommit returns the commit recorded in the binary.
func buildCommit() (Git, bool) {
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
