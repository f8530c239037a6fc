package about

// Machine facts on Windows.

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func kernel() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}

func cpuModel() string { return os.Getenv("PROCESSOR_IDENTIFIER") }

// memoryStatus is MEMORYSTATUSEX of the Windows API.
type memoryStatus struct {
	length, load         uint32
	totalPhysical, avail uint64
	_                    [5]uint64
}

func memory() uint64 {
	var m memoryStatus
	m.length = uint32(unsafe.Sizeof(m))
	ok, _, _ := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&m)))
	if ok == 0 {
		return 0
	}
	return m.totalPhysical
}

func fileSystemType(dir string) string {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return ""
	}
	var volume, name [windows.MAX_PATH + 1]uint16
	if err := windows.GetVolumePathName(path, &volume[0], uint32(len(volume))); err != nil {
		return ""
	}
	if err := windows.GetVolumeInformation(&volume[0], nil, 0, nil, nil, nil, &name[0], uint32(len(name))); err != nil {
		return ""
	}
	return windows.UTF16ToString(name[:])
}
