//go:build unix

// Package disk knows how much room a file system has.
package disk

import "golang.org/x/sys/unix"

// Space returns the bytes that this user can still write to the file system of
// dir, and its size.
func Space(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}
