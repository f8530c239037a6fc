package store

import (
	"fmt"
	"syscall"
)

// networkFileSystems are the file systems by f_type on which WAL is not safe:
// its index is shared memory, which machines do not share.
var networkFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
}

// network returns the name of the network file system of a folder, or "" if
// its file system is local.
func network(folder string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return "", fmt.Errorf("store: file system of %s: %w", folder, err)
	}
	return networkFileSystems[uint32(stat.Type)], nil
}
