package about

// Versions: of what is built in, and of this program.

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	_ "modernc.org/sqlite" // to be asked for its version
)

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
