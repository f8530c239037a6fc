package about

// The disk: on which file system, and what it costs to be sure that something
// is on it. This decides most of what a commit costs.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A FileSystem is where a folder is.
type FileSystem struct {
	Dir     string   `json:"dir"`
	Type    string   `json:"type"`
	FsyncUS *float64 `json:"fsync_us"` // median, of 4 KiB appended; null: could not be measured
	Warning string   `json:"warning"`
}

// free is what an fsync takes that goes to no disk.
const free = 20 * time.Microsecond

// examine looks at the file system a folder is on, or will be.
func examine(ctx context.Context, dir string) FileSystem {
	full, err := filepath.Abs(dir)
	if err != nil {
		full = dir
	}
	f := FileSystem{Dir: full}
	place := nearest(full)
	f.Type = fileSystemType(place)
	took, err := fsync(ctx, place)
	if err != nil {
		f.Warning = fmt.Sprintf("fsync could not be measured: %v", err)
		return f
	}
	us := float64(took.Nanoseconds()/100) / 10
	f.FsyncUS = &us
	f.Warning = warning(f.Type, took)
	return f
}

func warning(kind string, took time.Duration) string {
	switch {
	case kind == "tmpfs" || kind == "ramfs":
		return "this folder is in memory (" + kind + "): fsync costs nothing there, and durable commits look faster than on any disk"
	case took < free:
		return fmt.Sprintf("fsync takes %s here, which no disk can: durable commits look faster than they are", showTime(took))
	}
	return ""
}

// nearest is the folder, or the closest above it that exists.
func nearest(dir string) string {
	for {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			if real, err := filepath.EvalSymlinks(dir); err == nil {
				return real
			}
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}

// fsync measures it as a commit does it: append a page, make sure of it.
func fsync(ctx context.Context, dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".turnstile-fsync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // a few pages; nothing depends on it
	defer f.Close()
	const most, enough = 12, 300 * time.Millisecond
	page := make([]byte, 4096)
	var took []time.Duration
	for began := time.Now(); len(took) < most && (len(took) < 3 || time.Since(began) < enough); {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	took = took[1:] // the first also makes the file
	slices.Sort(took)
	return took[len(took)/2], nil
}

func (f FileSystem) took() string {
	if f.FsyncUS == nil {
		return "fsync unknown"
	}
	return "fsync " + showTime(time.Duration(*f.FsyncUS*float64(time.Microsecond)))
}

func (f FileSystem) describe() string { return known(f.Type) + ", " + f.took() }

func (f FileSystem) short() string {
	s := known(f.Type) + " with " + f.took()
	if f.Warning != "" && f.FsyncUS != nil {
		s += " (free: not a disk's)"
	}
	return s
}

func showTime(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
