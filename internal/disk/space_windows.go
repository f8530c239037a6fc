package disk

import "golang.org/x/sys/windows"

// Space returns the bytes that this user can still write to the volume of dir,
// and its size.
func Space(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var f, t uint64
	err = windows.GetDiskFreeSpaceEx(name, &f, &t, nil)
	return int64(f), int64(t), err
}
