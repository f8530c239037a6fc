package about

// The file system and the duration of an fsync, which dominates the duration of a
// commit.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A FileSystem describes the file system of a directory.
type FileSystem struct {
	Dir     string   `json:"dir"`
	Type    string   `json:"type"`
	FsyncUS *float64 `json:"fsync_us"` // median fsync of 4 KiB appended; null: not measurable
	Warning string   `json:"warning"`
}

// minDiskFsync is faster than any disk: a shorter fsync writes to no disk.
const minDiskFsync = 20 * time.Microsecond

// measureFileSystem describes the file system of dir, which need not exist yet.
func measureFileSystem(ctx context.Context, dir string) FileSystem {
	full, err := filepath.Abs(dir)
	if err != nil {
		full = dir
	}
	f := FileSystem{Dir: full}
	existing := existingDir(full)
	f.Type = fileSystemType(existing)
	fsync, err := measureFsync(ctx, existing)
	if err != nil {
		f.Warning = fmt.Sprintf("fsync could not be measured: %v", err)
		return f
	}
	us := float64(fsync.Nanoseconds()/100) / 10
	f.FsyncUS = &us
	f.Warning = warning(f.Type, fsync)
	return f
}

// warning returns why durable commits look faster here than on a disk, or "".
func warning(kind string, fsync time.Duration) string {
	switch {
	case kind == "tmpfs" || kind == "ramfs":
		return "this directory is in memory (" + kind + "): durable commits look faster than on a disk"
	case fsync < minDiskFsync:
		return fmt.Sprintf("fsync takes %s, faster than any disk: durable commits look faster than on a disk", formatDuration(fsync))
	}
	return ""
}

// existingDir returns dir, or its closest ancestor that exists, without symbolic
// links.
func existingDir(dir string) string {
	for {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			if real, err := filepath.EvalSymlinks(dir); err == nil {
				return real
			}
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}

// measureFsync returns the median duration of an fsync after a page is appended, as
// in a commit.
func measureFsync(ctx context.Context, dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".turnstile-fsync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // a few pages: a failure does no harm
	defer f.Close()
	const maxSamples, maxDuration = 12, 300 * time.Millisecond
	page := make([]byte, 4096)
	var samples []time.Duration
	for began := time.Now(); len(samples) < maxSamples && (len(samples) < 3 || time.Since(began) < maxDuration); {
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
		samples = append(samples, time.Since(start))
	}
	samples = samples[1:] // the first includes the creation of the file
	slices.Sort(samples)
	return samples[len(samples)/2], nil
}

// fsync returns the fsync duration as text.
func (f FileSystem) fsync() string {
	if f.FsyncUS == nil {
		return "fsync unknown"
	}
	return "fsync " + formatDuration(time.Duration(*f.FsyncUS*float64(time.Microsecond)))
}

func (f FileSystem) describe() string { return orUnknown(f.Type) + ", " + f.fsync() }

func (f FileSystem) short() string {
	s := orUnknown(f.Type) + " with " + f.fsync()
	if f.Warning != "" && f.FsyncUS != nil {
		s += " (not a disk)"
	}
	return s
}

// formatDuration formats a duration in microseconds or milliseconds.
func formatDuration(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
