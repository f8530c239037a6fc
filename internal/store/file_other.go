//go:build !linux

package store

import "os"

// statOpenFile cannot tell here whether the file at a path is the one that this
// process has open. A file that is removed later is noticed all the same.
func statOpenFile(path string) (os.FileInfo, error) { return os.Stat(path) }

// deniedFile cannot tell here.
func deniedFile(string, bool) string { return "" }

// onReadOnlyDisk cannot tell here.
func onReadOnlyDisk(string) bool { return false }

// namesOf cannot tell here.
func namesOf(string) (links int, mounted bool, err error) { return 0, false, nil }
